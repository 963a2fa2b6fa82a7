#include "storage/base/strings.h"

#include <gtest/gtest.h>

namespace naru {
namespace {

TEST(Strings, StandardViewsAreJoinedLikeOthers) {
  const std::string_view view = "view";
  EXPECT_EQ(absl::StrCat(view), "view");
  EXPECT_EQ(absl::StrCat(view, "-", 17), "view-17");
  EXPECT_EQ(absl::StrCat("a", view, std::string("b"), -1, view, "c", 2.5), "aviewb-1viewc2.5");
  std::string text = "x";
  absl::StrAppend(&text, view, 1, "y");
  EXPECT_EQ(text, "xview1y");
}

TEST(Strings, ViewsCrossToAbseilAndBack) {
  const std::string text("with\0zero", 9);
  EXPECT_EQ(Std(Absl(text)), text);
  EXPECT_EQ(Absl(std::string_view(text)).data(), text.data());
}

}  // namespace
}  // namespace naru
