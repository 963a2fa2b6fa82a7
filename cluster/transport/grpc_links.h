// Links over gRPC: one channel to each address, kept as long as the object lives. Thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/broker/link.h"

namespace naru::cluster {

class OpenCalls;

class GrpcLinks final : public Links {
 public:
  GrpcLinks();
  // Waits for gRPC to be done with the calls: all links are gone.
  ~GrpcLinks() override;

  std::unique_ptr<Link<naru::internal::v1::AttendRequest>> Attend(
      const std::string& address, LinkEvents<naru::internal::v1::AttendResponse> events) override;
  std::unique_ptr<Link<naru::internal::v1::ReplicateRequest>> Replicate(
      const std::string& address, LinkEvents<naru::internal::v1::ReplicateResponse> events) override;
  std::unique_ptr<Link<naru::internal::v1::ForwardRequest>> Forward(
      const std::string& address, LinkEvents<naru::internal::v1::ForwardResponse> events) override;
  std::unique_ptr<Link<naru::internal::v1::GroupsRequest>> Groups(
      const std::string& address, LinkEvents<naru::internal::v1::GroupsResponse> events) override;
  void ChangeTopics(const std::string& address, const naru::internal::v1::ChangeTopicsRequest& request,
                    TopicsDone done) override;

 private:
  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address);

  const std::shared_ptr<OpenCalls> calls_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::cluster
