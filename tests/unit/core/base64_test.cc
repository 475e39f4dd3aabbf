#include "core/base64.h"

#include <gtest/gtest.h>

namespace mooring {
namespace {

TEST(Base64, RoundTripsTheExamplesOfItsSpecification) {  // RFC 4648 §10
  for (const auto& [plain, encoded] :
       std::initializer_list<std::pair<const char*, const char*>>{{"", ""},
                                                                  {"f", "Zg=="},
                                                                  {"fo", "Zm8="},
                                                                  {"foo", "Zm9v"},
                                                                  {"foob", "Zm9vYg=="},
                                                                  {"fooba", "Zm9vYmE="},
                                                                  {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(encode_base64(plain), encoded);
    EXPECT_EQ(decode_base64(encoded), plain);
  }
}

TEST(Base64, KeepsEveryOctet) {
  std::string all;
  for (int i = 0; i < 256; ++i)
    all += static_cast<char>(i);
  EXPECT_EQ(decode_base64(encode_base64(all)), all);
}

TEST(Base64, ReadsBothAlphabetsAndFoldedLines) {
  EXPECT_EQ(decode_base64("+/+/"), "\xfb\xff\xbf");
  EXPECT_EQ(decode_base64("-_-_"), "\xfb\xff\xbf");
  EXPECT_EQ(decode_base64("Zm9v\r\n  YmE"), "fooba");  // a token has no padding
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"Z", "Zm9vY", "Zm=v", "Zg=", "Zg===", "=", "====", "Zm9v=", "Zm9*"})
    EXPECT_FALSE(decode_base64(text)) << text;
}

}  // namespace
}  // namespace mooring
