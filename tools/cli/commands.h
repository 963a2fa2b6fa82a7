// The commands of `naru`. Each connects, does what its arguments say, prints the result on standard output,
// and what went wrong in one line on standard error, and gives the exit code of the process.
#pragma once

#include <string>

#include "naru/v1/cluster.pb.h"
#include "tools/cli/arguments.h"

namespace naru::cli {

int RunCreateTopic(const GlobalArguments& global, const CreateTopicArguments& arguments);
int RunListTopics(const GlobalArguments& global, const ListTopicsArguments& arguments);
int RunDescribeTopic(const GlobalArguments& global, const std::string& name);
int RunAlterTopic(const GlobalArguments& global, const AlterTopicArguments& arguments);
int RunAddPartitions(const GlobalArguments& global, const std::string& name, int32_t partition_count);
int RunDeleteTopic(const GlobalArguments& global, const DeleteTopicArguments& arguments);
int RunDeleteRecords(const GlobalArguments& global, const DeleteRecordsArguments& arguments);
int RunProduce(const GlobalArguments& global, const ProduceArguments& arguments);
int RunConsume(const GlobalArguments& global, const ConsumeArguments& arguments);
int RunGroupConsume(const GlobalArguments& global, const GroupConsumeArguments& arguments);
int RunOffsets(const GlobalArguments& global, const OffsetsArguments& arguments);
int RunDescribeCluster(const GlobalArguments& global);
int RunElectLeaders(const GlobalArguments& global, const naru::v1::ElectLeadersRequest& request);
int RunListGroups(const GlobalArguments& global, bool names_only);
int RunDescribeGroup(const GlobalArguments& global, const DescribeGroupArguments& arguments);
int RunResetGroup(const GlobalArguments& global, const naru::v1::ResetOffsetsRequest& request);
int RunDeleteGroup(const GlobalArguments& global, const DeleteGroupArguments& arguments);
int RunLeaveGroup(const GlobalArguments& global, const naru::v1::LeaveGroupRequest& request);

}  // namespace naru::cli
