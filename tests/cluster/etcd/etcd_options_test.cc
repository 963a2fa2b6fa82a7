#include "cluster/etcd/etcd_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(EtcdOptionsTest, AUrlNamesEndpointsAndPrefix) {
  const auto options =
      ParseEtcdUrl("--metadata", "etcd://etcd-1.local:2379,10.0.0.2:2379,[fd00::3]:23790/a/b-c.d");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->endpoints, ElementsAre("etcd-1.local:2379", "10.0.0.2:2379", "[fd00::3]:23790"));
  EXPECT_EQ(options->prefix, "/a/b-c.d");
  EXPECT_TRUE(options->Validate().ok());
}

TEST(EtcdOptionsTest, WithoutAPrefixTheKeysAreNarus) {
  const auto options = ParseEtcdUrl("--metadata", "etcd://localhost:2379");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->prefix, "/naru");
}

TEST(EtcdOptionsTest, WhatIsWrongInAUrlIsNamedWithWhatIsAllowed) {
  struct Case {
    std::string url;
    std::string value;
    std::string allowed;
  };
  const std::string endpoint = "each endpoint is host:port";
  const std::string prefix = "like /naru";
  for (const Case& c : std::vector<Case>{
           {"", "\"\"", "etcd://host:port"},
           {"http://a:1", "\"http://a:1\"", "etcd://host:port"},
           {"etcd://", "\"\"", endpoint},
           {"etcd://a", "\"a\"", endpoint},
           {"etcd://a:", "\"a:\"", endpoint},
           {"etcd://a:0", "\"a:0\"", endpoint},
           {"etcd://a:65536", "\"a:65536\"", endpoint},
           {"etcd://a:99999999999", "\"a:99999999999\"", endpoint},
           {"etcd://:1", "\":1\"", endpoint},
           {"etcd://a:1,", "\"\"", endpoint},
           {"etcd://a:1,,b:1", "\"\"", endpoint},
           {"etcd://fd00::3:1", "\"fd00::3:1\"", endpoint},
           {"etcd://user@a:1", "\"user@a:1\"", endpoint},
           {"etcd://a:1/", "\"/\"", prefix},
           {"etcd://a:1/naru/", "\"/naru/\"", prefix},
           {"etcd://a:1//naru", "\"//naru\"", prefix},
           {"etcd://a:1/na ru", "\"/na ru\"", prefix},
           {"etcd://a:1/" + std::string(200, 'x'), "xxx", prefix},
           {"etcd://a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1", "17 endpoints",
            "1 to 16"},
       }) {
    const auto options = ParseEtcdUrl("--metadata", c.url);
    EXPECT_EQ(ReasonOf(options.status()), Reason::kInvalidField) << c.url;
    const std::string message(options.status().message());
    EXPECT_THAT(message, HasSubstr("--metadata: ")) << c.url;
    EXPECT_THAT(message, HasSubstr(c.value)) << c.url;
    EXPECT_THAT(message, HasSubstr(c.allowed)) << c.url;
  }
}

TEST(EtcdOptionsTest, AnOptionOutOfRangeIsNamed) {
  const auto message = [](auto change) {
    EtcdOptions options{.endpoints = {"a:1"}};
    change(options);
    return std::string(options.Validate().message());
  };
  EXPECT_THAT(message([](EtcdOptions& o) { o.endpoints.clear(); }), HasSubstr("etcd.endpoints: 0 endpoints"));
  EXPECT_THAT(message([](EtcdOptions& o) { o.prefix = "naru"; }), HasSubstr("etcd.prefix: \"naru\""));
  EXPECT_THAT(message([](EtcdOptions& o) { o.lease_ttl_s = 1; }),
              HasSubstr("etcd.lease_ttl_s: 1 is not allowed; it is 2 to 60"));
  EXPECT_THAT(message([](EtcdOptions& o) { o.request_timeout_ms = 0; }),
              HasSubstr("etcd.request_timeout_ms: 0"));
  EXPECT_THAT(message([](EtcdOptions& o) { o.poll_interval_ms = 10'001; }),
              HasSubstr("etcd.poll_interval_ms: 10001"));
  EXPECT_THAT(message([](EtcdOptions& o) { o.page_keys_max = 201; }), HasSubstr("etcd.page_keys_max: 201"));
  EXPECT_EQ(message([](EtcdOptions&) {}), "");
}

}  // namespace
}  // namespace naru::cluster
