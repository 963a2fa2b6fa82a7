// Command nats_load drives a NATS JetStream server with nats.go, with the verbs and figures of naru-bench. Each run makes
// one stream in file storage and leaves it behind: the server is meant to be thrown away.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamName = "bench"
	subject    = "bench.records"
	stampBytes = 8
)

type options struct {
	server      string
	serverPid   int
	seconds     float64
	warmup      float64
	recordBytes int
	depth       int
	connections int
	rate        float64
	totalBytes  int64
	consumers   int
}

// The time that is measured. Nothing is counted before begin or from end on.
type window struct{ begin, end time.Time }

func (o *options) window() window {
	begin := time.Now().Add(time.Duration(o.warmup * float64(time.Second)))
	return window{begin, begin.Add(time.Duration(o.seconds * float64(time.Second)))}
}

func (w window) contains(t time.Time) bool { return !t.Before(w.begin) && t.Before(w.end) }

func connect(o *options, extra ...jetstream.JetStreamOpt) (*nats.Conn, jetstream.JetStream, error) {
	connection, err := nats.Connect("nats://" + o.server)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(connection, extra...)
	return connection, js, err
}

func makeStream(o *options) (jetstream.Stream, error) {
	_, js, err := connect(o)
	if err != nil {
		return nil, err
	}
	return js.CreateStream(context.Background(), jetstream.StreamConfig{
		Name: streamName, Subjects: []string{subject}, Storage: jetstream.FileStorage, Replicas: 1})
}

func runProduce(o *options) ([]figure, error) {
	if _, err := makeStream(o); err != nil {
		return nil, err
	}
	meter := newCPUMeter(o.serverPid)
	w := o.window()
	t, err := produce(o, w, 0)
	if err != nil {
		return nil, err
	}
	return []figure{meter.apply(t.figure("produce", "answer", o))}, nil
}

// As naru-bench's end-to-end: the acks' figure, then the arrivals'.
func runEndToEnd(o *options) ([]figure, error) {
	stream, err := makeStream(o)
	if err != nil {
		return nil, err
	}
	if o.rate <= 0 {
		return nil, errors.New("-rate: end-to-end needs a rate above 0")
	}
	w := o.window()
	reader, err := newTailReader(o, stream, w)
	if err != nil {
		return nil, err
	}
	meter := newCPUMeter(o.serverPid)
	acks, err := produce(o, w, 0)
	if err != nil {
		return nil, err
	}
	ack := meter.apply(acks.figure("end-to-end", "answer", o))
	arrivals := reader.finish()
	return []figure{ack, arrivals.figure("end-to-end-arrival", "arrival at a reader", o)}, nil
}

func runFetch(o *options) ([]figure, error) {
	stream, err := makeStream(o)
	if err != nil {
		return nil, err
	}
	count := o.totalBytes / int64(o.recordBytes)
	filled, err := produce(o, window{}, count)
	if err != nil {
		return nil, err
	}
	if filled.failures > 0 {
		return nil, errors.New("filling the stream: " + filled.firstFailure)
	}
	meter := newCPUMeter(o.serverPid)
	t, err := fetch(o, stream, count, o.window())
	if err != nil {
		return nil, err
	}
	return []figure{meter.apply(t.figure("fetch", "", o))}, nil
}

// A record of 1 KB as soon as the server takes it.
func runFirstAck(o *options) ([]figure, error) {
	deadline := time.Now().Add(time.Minute)
	for {
		socket, err := net.Dial("tcp", o.server)
		if err == nil {
			socket.Close()
			break
		}
		if time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(time.Millisecond)
	}
	// It accepts connections a little before JetStream answers.
	for {
		_, err := makeStream(o)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(time.Millisecond)
	}
	_, js, err := connect(o)
	if err != nil {
		return nil, err
	}
	_, err = js.Publish(context.Background(), subject, payloads(1024, 1)[0])
	return []figure{}, err
}

func main() {
	verbs := map[string]func(*options) ([]figure, error){
		"produce": runProduce, "end-to-end": runEndToEnd, "fetch": runFetch, "first-ack": runFirstAck}
	o := options{}
	flags := flag.NewFlagSet("nats_load", flag.ExitOnError)
	flags.StringVar(&o.server, "server", "", "HOST:PORT of the server")
	flags.IntVar(&o.serverPid, "server-pid", 0, "its process, for its CPU time")
	flags.Float64Var(&o.seconds, "seconds", 3, "that are measured")
	flags.Float64Var(&o.warmup, "warmup", 1, "seconds before")
	flags.IntVar(&o.recordBytes, "record-bytes", 1024, "bytes of a value, half of them random; at least 8")
	flags.IntVar(&o.depth, "depth", 4096, "records on the way")
	flags.IntVar(&o.connections, "connections", 2, "that write")
	flags.Float64Var(&o.rate, "rate", 0, "records a second (open loop)")
	flags.Int64Var(&o.totalBytes, "total-bytes", 256<<20, "fetch: written first")
	flags.IntVar(&o.consumers, "consumers", 1, "fetch: at a time, each reading everything")
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: nats_load produce|end-to-end|fetch|first-ack [options]")
		flags.PrintDefaults()
		os.Exit(2)
	}
	_ = flags.Parse(os.Args[2:])
	if o.recordBytes < stampBytes {
		o.recordBytes = stampBytes
	}
	figures, err := verbs[os.Args[1]](&o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nats_load:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string][]figure{"figures": figures})
}
