// One etcd for all tests of a suite; each has a prefix of its own in it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/cluster/etcd/candidate.h"
#include "tests/cluster/etcd/etcd_process.h"
#include "tests/cluster/etcd/sample_metadata.h"

namespace naru::testing {

class EtcdTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    etcd_ = std::make_unique<EtcdProcess>();
    started_ = etcd_->Start();
  }
  static void TearDownTestSuite() { etcd_.reset(); }

  void SetUp() override {
    ASSERT_TRUE(started_.ok()) << started_.message();
    options_.endpoints = {etcd_->endpoint()};
    options_.prefix = absl::StrCat("/test/", ::testing::UnitTest::GetInstance()->current_test_info()->name());
  }

  std::string Key(const std::string& path) const { return options_.prefix + path; }

  static std::unique_ptr<EtcdProcess> etcd_;
  static absl::Status started_;
  cluster::EtcdOptions options_;
};

inline std::unique_ptr<EtcdProcess> EtcdTest::etcd_;
inline absl::Status EtcdTest::started_;

}  // namespace naru::testing
