// Owners of libssl's objects. Inside tls only.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <memory>

#include "core/free_by.h"

namespace mooring::tls {

using SslPtr = std::unique_ptr<SSL, FreeBy<SSL_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, FreeBy<SSL_CTX_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, FreeBy<SSL_SESSION_free>>;
using BioPtr = std::unique_ptr<BIO, FreeBy<BIO_free>>;
using DigestPtr = std::unique_ptr<EVP_MD, FreeBy<EVP_MD_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, FreeBy<EVP_MD_CTX_free>>;

}  // namespace mooring::tls
