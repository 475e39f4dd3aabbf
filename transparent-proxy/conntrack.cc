#include "transparent-proxy/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/fd.h"

namespace mooring::transparent_proxy {

namespace {

constexpr std::size_t kAttributeHead = sizeof(nlattr);
constexpr std::size_t kHead = NLMSG_LENGTH(sizeof(nfgenmsg));
// Netlink gives a whole message or cuts it; a dump comes in blocks of at most 32 KiB (netlink(7)).
constexpr std::size_t kBlock = std::size_t{64} * 1024;
constexpr std::uint16_t kSubsystem = NFNL_SUBSYS_CTNETLINK << 8U;

template <class T>
T read_as(Bytes bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
  return value;
}

// The attribute of this type with its head; nothing if there is none, or if they are malformed.
Bytes attribute(Bytes attributes, std::uint16_t type) {
  while (attributes.size() >= kAttributeHead) {
    const auto head = read_as<nlattr>(attributes);
    if (head.nla_len < kAttributeHead || head.nla_len > attributes.size()) return {};
    if ((head.nla_type & NLA_TYPE_MASK) == type) return attributes.first(head.nla_len);
    attributes =
        attributes.subspan(std::min<std::size_t>(NLA_ALIGN(head.nla_len), attributes.size()));
  }
  return {};
}

Bytes inside(Bytes whole) {
  return whole.size() < kAttributeHead ? Bytes{} : whole.subspan(kAttributeHead);
}

std::vector<std::byte> request(std::uint16_t kind,
                               std::uint16_t flags,
                               std::uint8_t family,
                               Bytes rest) {
  std::vector<std::byte> message(NLMSG_ALIGN(kHead + rest.size()));
  nlmsghdr head{};
  head.nlmsg_len = static_cast<std::uint32_t>(kHead + rest.size());
  head.nlmsg_type = static_cast<std::uint16_t>(kSubsystem | kind);
  head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  nfgenmsg general{};
  general.nfgen_family = family;
  std::memcpy(message.data(), &head, sizeof head);
  std::memcpy(message.data() + NLMSG_HDRLEN, &general, sizeof general);
  if (!rest.empty()) std::memcpy(message.data() + kHead, rest.data(), rest.size());
  return message;
}

struct Flow {
  std::uint8_t family = 0;
  std::vector<std::byte> original;  // CTA_TUPLE_ORIG
};

class Conntrack {
 public:
  [[nodiscard]] Result<void> open() {
    fd_ = UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    if (!fd_.valid()) return fail_errno(errno, "netlink socket");
    // The kernel answers at once; a helper must not hang if it does not.
    const timeval limit{1, 0};
    if (::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
      return fail_errno(errno, "netlink socket");
    return {};
  }

  [[nodiscard]] Result<std::vector<Flow>> flows(std::uint16_t port) {
    if (auto sent = send(request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, {})); !sent)
      return fail(sent.error());
    std::vector<Flow> found;
    const auto done = each_message([&](const nlmsghdr& head, Bytes body) {
      if (head.nlmsg_type != (kSubsystem | IPCTNL_MSG_CT_NEW) || body.size() < sizeof(nfgenmsg))
        return;
      auto original = redirected_flow(body.subspan(NLMSG_ALIGN(sizeof(nfgenmsg))), port);
      if (!original.empty())
        found.push_back({read_as<nfgenmsg>(body).nfgen_family, std::move(original)});
    });
    if (!done) return fail(done.error());
    return found;
  }

  // One that ended meanwhile is as good as forgotten.
  [[nodiscard]] Result<void> forget(const Flow& flow) {
    if (auto sent = send(request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, flow.family, flow.original));
        !sent)
      return sent;
    auto done = each_message([](const nlmsghdr&, Bytes) {});
    if (!done && done.error().detail == ENOENT) return {};
    return done;
  }

 private:
  [[nodiscard]] Result<void> send(const std::vector<std::byte>& message) const {
    if (::send(fd_.get(), message.data(), message.size(), 0) < 0)
      return fail_errno(errno, "conntrack");
    return {};
  }

  // Until the end of a dump, or the kernel's acknowledgement.
  template <class Use>
  [[nodiscard]] Result<void> each_message(Use use) {
    for (;;) {
      const ssize_t got = ::recv(fd_.get(), block_.data(), block_.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return fail_errno(got == 0 ? ENODATA : errno, "conntrack");
      Bytes left = Bytes(block_).first(static_cast<std::size_t>(got));
      while (left.size() >= sizeof(nlmsghdr)) {
        const auto head = read_as<nlmsghdr>(left);
        if (head.nlmsg_len < NLMSG_HDRLEN || head.nlmsg_len > left.size()) break;
        const Bytes body = left.first(head.nlmsg_len).subspan(NLMSG_HDRLEN);
        if (head.nlmsg_type == NLMSG_DONE) return {};
        if (head.nlmsg_type == NLMSG_ERROR) {
          const int error = -read_as<int>(body);
          if (error != 0) return fail_errno(error, "conntrack");
          return {};
        }
        use(head, body);
        left = left.subspan(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), left.size()));
      }
    }
  }

  UniqueFd fd_;
  std::vector<std::byte> block_ = std::vector<std::byte>(kBlock);
};

}  // namespace

std::vector<std::byte> redirected_flow(Bytes attributes, std::uint16_t port) {
  const Bytes reply = inside(attribute(attributes, CTA_TUPLE_REPLY));
  const Bytes protocol = inside(attribute(reply, CTA_TUPLE_PROTO));
  const Bytes number = inside(attribute(protocol, CTA_PROTO_NUM));
  const Bytes source = inside(attribute(protocol, CTA_PROTO_SRC_PORT));
  if (number.empty() || read_as<std::uint8_t>(number) != IPPROTO_UDP) return {};
  if (source.size() < 2 || ntohs(read_as<std::uint16_t>(source)) != port) return {};
  const Bytes original = attribute(attributes, CTA_TUPLE_ORIG);
  // What was sent to the port itself was not redirected.
  const Bytes sent = inside(attribute(inside(original), CTA_TUPLE_PROTO));
  const Bytes meant = inside(attribute(sent, CTA_PROTO_DST_PORT));
  if (meant.size() < 2 || ntohs(read_as<std::uint16_t>(meant)) == port) return {};
  return {original.begin(), original.end()};
}

Result<std::size_t> forget_redirected_udp(std::uint16_t port) {
  Conntrack conntrack;
  if (auto opened = conntrack.open(); !opened) return fail(opened.error());
  const auto flows = conntrack.flows(port);
  if (!flows) return fail(flows.error());
  for (const Flow& flow : *flows) {
    if (auto done = conntrack.forget(flow); !done) return fail(done.error());
  }
  return flows->size();
}

}  // namespace mooring::transparent_proxy
