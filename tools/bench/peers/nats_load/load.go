package main

import (
	"context"
	"encoding/binary"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How late an open loop may get before what does not fit counts as failed.
const backlogSeconds = 1

// Values of which one half is random and one half is not.
func payloads(size, count int) [][]byte {
	random := rand.New(rand.NewSource(42))
	all := make([][]byte, count)
	for i := range all {
		all[i] = make([]byte, size)
		random.Read(all[i][:size/2])
		for j := size / 2; j < size; j++ {
			all[i][j] = 'n'
		}
	}
	return all
}

func stamp(value []byte, intended time.Time) {
	binary.LittleEndian.PutUint64(value, uint64(intended.Sub(processStart)))
}

func stampOf(value []byte) time.Time {
	return processStart.Add(time.Duration(binary.LittleEndian.Uint64(value)))
}

var processStart = time.Now()

// One connection that publishes asynchronously. Latency counts from when a record's place became free, or in an open
// loop from when it was meant to be sent.
type publisher struct {
	o      *options
	w      window
	js     jetstream.JetStream
	values [][]byte
	next   int
	places chan struct{}
	mutex  sync.Mutex
	tally  tally
}

func newPublisher(o *options, w window) (*publisher, error) {
	depth := max(1, o.depth/o.connections)
	if o.rate > 0 {
		depth = max(1, int(o.rate*backlogSeconds)/o.connections)
	}
	p := &publisher{o: o, w: w, places: make(chan struct{}, depth)}
	// A value is not used again before it is acknowledged.
	p.values = payloads(o.recordBytes, 2*depth)
	_, js, err := connect(o, jetstream.WithPublishAsyncMaxPending(2*depth),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, _ *jetstream.PubAck) { p.answered(m, nil) }),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { p.answered(m, err) }))
	p.js = js
	return p, err
}

func (p *publisher) answered(m *nats.Msg, err error) {
	now := time.Now()
	p.mutex.Lock()
	if err != nil {
		p.tally.fail(err.Error())
	} else if p.w.contains(now) {
		p.tally.add(len(m.Data), now.Sub(stampOf(m.Data)))
	}
	p.mutex.Unlock()
	<-p.places
}

// Needs a place.
func (p *publisher) send(intended time.Time) {
	value := p.values[p.next%len(p.values)]
	p.next++
	stamp(value, intended)
	if _, err := p.js.PublishAsync(subject, value); err != nil {
		p.mutex.Lock()
		p.tally.fail(err.Error())
		p.mutex.Unlock()
		<-p.places
	}
}

func (p *publisher) closedLoop(records int64) {
	for n := int64(0); ; n++ {
		if records > 0 && n >= records || records == 0 && !time.Now().Before(p.w.end) {
			return
		}
		p.places <- struct{}{}
		p.send(time.Now())
	}
}

func (p *publisher) openLoop(first int) {
	interval := float64(time.Second) / p.o.rate
	begin := time.Now()
	for n := first; ; n += p.o.connections {
		intended := begin.Add(time.Duration(float64(n) * interval))
		if !intended.Before(p.w.end) {
			return
		}
		if wait := time.Until(intended); wait > 0 {
			time.Sleep(max(wait, 50*time.Microsecond))
		}
		select {
		case p.places <- struct{}{}:
			p.send(intended)
		default:
			p.mutex.Lock()
			p.tally.fail("overloaded: the server is slower than the rate")
			p.mutex.Unlock()
		}
	}
}

// Until the window's end, or so many records, and until all is answered.
func produce(o *options, w window, records int64) (*tally, error) {
	publishers := make([]*publisher, o.connections)
	for i := range publishers {
		p, err := newPublisher(o, w)
		if err != nil {
			return nil, err
		}
		publishers[i] = p
	}
	var group sync.WaitGroup
	for i, p := range publishers {
		share := records / int64(o.connections)
		if i == 0 {
			share += records % int64(o.connections)
		}
		group.Add(1)
		go func() {
			defer group.Done()
			if o.rate > 0 {
				p.openLoop(i)
			} else if records == 0 || share > 0 {
				p.closedLoop(share)
			}
			select {
			case <-p.js.PublishAsyncComplete():
			case <-time.After(time.Minute):
			}
		}()
	}
	group.Wait()
	all := &tally{}
	for _, p := range publishers {
		p.mutex.Lock()
		all.merge(&p.tally)
		p.mutex.Unlock()
	}
	return all, nil
}

// Ordered consumers, each from the first record to the last, and again until the window is over.
func fetch(o *options, stream jetstream.Stream, records int64, w window) (*tally, error) {
	all := &tally{}
	var mutex sync.Mutex
	var group sync.WaitGroup
	var failed error
	for i := 0; i < o.consumers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			t, err := readAgainAndAgain(o, records, w)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				failed = err
				return
			}
			all.merge(t)
		}()
	}
	group.Wait()
	return all, failed
}

func readAgainAndAgain(o *options, records int64, w window) (*tally, error) {
	t := &tally{}
	_, js, err := connect(o)
	if err != nil {
		return nil, err
	}
	for time.Now().Before(w.end) {
		consumer, err := js.OrderedConsumer(context.Background(), streamName, jetstream.OrderedConsumerConfig{})
		if err != nil {
			return nil, err
		}
		var seen int64
		done := make(chan struct{})
		reading, err := consumer.Consume(func(m jetstream.Msg) {
			now := time.Now()
			if w.contains(now) {
				t.records++
				t.bytes += int64(len(m.Data()))
			}
			seen++
			if seen == records || seen < records && !now.Before(w.end) && seen%1024 == 0 {
				select {
				case <-done:
				default:
					close(done)
				}
			}
		}, jetstream.PullMaxMessages(50_000))
		if err != nil {
			return nil, err
		}
		select {
		case <-done:
		case <-time.After(time.Until(w.end) + time.Second):
		}
		reading.Stop()
		<-reading.Closed()
	}
	return t, nil
}

// Reads a new stream at its end and takes the time from the stamps to the records' arrival.
type tailReader struct {
	reading jetstream.ConsumeContext
	tally   tally
	last    atomic.Int64
}

func newTailReader(o *options, _ jetstream.Stream, w window) (*tailReader, error) {
	_, js, err := connect(o)
	if err != nil {
		return nil, err
	}
	consumer, err := js.OrderedConsumer(context.Background(), streamName, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	r := &tailReader{}
	r.last.Store(int64(time.Since(processStart)))
	r.reading, err = consumer.Consume(func(m jetstream.Msg) {
		now := time.Now()
		if intended := stampOf(m.Data()); w.contains(intended) {
			r.tally.add(len(m.Data()), now.Sub(intended))
		}
		r.last.Store(int64(now.Sub(processStart)))
	}, jetstream.PullMaxMessages(50_000))
	return r, err
}

// Ends the reading when nothing has come for half a second, so that what is late counts too.
func (r *tailReader) finish() *tally {
	for time.Since(processStart)-time.Duration(r.last.Load()) < 500*time.Millisecond {
		time.Sleep(time.Millisecond)
	}
	r.reading.Stop()
	<-r.reading.Closed()
	return &r.tally
}
