// The admin API as a control plane reaches it: over mutual TLS, on real sockets.
#include "admin/tls_front.h"

#include <gtest/gtest.h>

#include <string>

#include "net/socket.h"
#include "support/pki.h"
#include "tls/session.h"

namespace mooring::admin {

namespace {

using identity::NameMatcher;
using identity::NameType;

/// A client by hand: TLS or not, one request, everything that comes back.
class Client final : public net::TcpStream::Owner {
 public:
  Client(Loop& loop, net::StreamPool& pool, const SocketAddress& to, tls::Session* session)
      : loop_(loop), session_(session), stream_(loop, pool, *this) {
    auto fd = net::make_connecting_socket(to, std::nullopt, {});
    EXPECT_TRUE(stream_.connect(std::move(*fd), to));
  }
  [[nodiscard]] const std::string& answer() const { return answer_; }

 private:
  static constexpr std::string_view kRequest =
      "GET /stats HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

  void on_connected(net::TcpStream&, int error) override {
    ASSERT_EQ(error, 0);
    stream_.start_reading();
    if (session_ == nullptr) return stream_.write(std::as_bytes(std::span(kRequest)));
    stream_.write(session_->start().to_peer);
  }
  void on_bytes(net::TcpStream&, Bytes bytes) override {
    if (session_ == nullptr) return append(bytes);
    const tls::Step step = session_->feed(bytes);
    stream_.write(step.to_peer);
    append(step.plain);
    if (step.handshake_done)
      stream_.write(session_->write(std::as_bytes(std::span(kRequest))).to_peer);
    if (step.failure != tls::Failure::none || step.peer_closed) loop_.stop();
  }
  void on_eof(net::TcpStream&) override { loop_.stop(); }
  void on_reset(net::TcpStream&, int) override { loop_.stop(); }
  void on_drained(net::TcpStream&) override {}
  void on_write_closed(net::TcpStream&) override {}
  void append(Bytes bytes) {
    answer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  Loop& loop_;
  tls::Session* session_;
  std::string answer_;
  net::TcpStream stream_;
};

class TlsFrontTest : public testing::Test {
 protected:
  TlsFrontTest() : ca_("admin.test"), server_(loop_, handlers()) {
    auto fd = net::make_listener({IpAddress::v4(0x7f000001), 0}, {});
    address_ = *net::local_address(fd->get());
    front_ = std::make_unique<TlsFront>(loop_, pool_, server_, std::move(*fd));
  }

  static Handlers handlers() {
    Handlers made;
    made.envoy_stats = [](admin::TextForm) { return std::string(R"({"stats":[]})"); };
    return made;
  }

  static test::CertOptions named(const std::string& dns) {
    test::CertOptions options;
    options.subject_alternative_name = "DNS:" + dns;
    return options;
  }

  identity::MaterialPtr material(const std::string& dns) const {
    const test::Issued issued = ca_.issue("", named(dns));
    auto presented = identity::build_presented(issued.cert_pem, issued.key_pem);
    auto trusted = identity::build_trusted_any(ca_.cert_pem());
    EXPECT_TRUE(presented) << describe(presented.error());
    EXPECT_TRUE(trusted) << describe(trusted.error());
    return identity::pair_material(*presented, *trusted);
  }

  void serve_tls() {
    auto identity = std::make_shared<TlsIdentity>();
    auto context = tls::Context::make(tls::Role::server, material("agent"), {}, scratch_, clock_);
    ASSERT_TRUE(context) << describe(context.error());
    identity->context = std::move(*context);
    NameMatcher matcher;
    matcher.type = NameType::dns;
    matcher.text = "kuma-cp";
    identity->clients = {matcher};
    front_->set_identity(std::move(identity));
  }

  std::string ask(tls::Session* session) {
    Client client(loop_, pool_, address_, session);
    Timer late(loop_, [this] {
      ADD_FAILURE() << "no end";
      loop_.stop();
    });
    late.start(Milliseconds{5000});
    loop_.run();
    return client.answer();
  }

  std::string ask_as(const std::string& dns) {
    auto context = tls::Context::make(tls::Role::client, material(dns), {}, scratch_, clock_);
    EXPECT_TRUE(context);
    auto session = (*context)->make_client({});
    EXPECT_TRUE(session);
    return ask(session->get());
  }

  Loop loop_;
  net::StreamPool pool_;
  tls::Scratch scratch_;
  Clock clock_;
  test::TestCa ca_;
  Server server_;
  SocketAddress address_;
  std::unique_ptr<TlsFront> front_;
};

TEST_F(TlsFrontTest, AnswersWhomItKnowsByCertificate) {
  serve_tls();
  const std::string answer = ask_as("kuma-cp");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_TRUE(answer.ends_with(R"({"stats":[]})")) << answer;
}

TEST_F(TlsFrontTest, RefusesAnotherNameInTheHandshake) {
  serve_tls();
  EXPECT_EQ(ask_as("somebody"), "");
}

TEST_F(TlsFrontTest, WithoutTlsAClientIsAnybody) {
  serve_tls();
  EXPECT_TRUE(ask(nullptr).starts_with("HTTP/1.1 404"));
}

TEST_F(TlsFrontTest, BeforeItHasACertificateNobodyIsServedByTls) {
  EXPECT_EQ(ask_as("kuma-cp"), "");
}

}  // namespace

}  // namespace mooring::admin
