"""Whether a dataplane token entitles a proxy to what its Dataplane says, refused in the words of a real control plane."""
import base64
import binascii
import json
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

WORKLOAD = "kuma.io/workload"
UNREADABLE = ("could not parse token. kuma-cp runs with an in-memory database and its state isn't preserved between restarts. "
              "Keep in mind that an in-memory database cannot be used with multiple instances of the control plane: ")
TOO_EARLY = ("token is not yet valid: 'valid_from' date is in the future. Check if the system clock on the instance that issued the "
             "token is set correctly: token has invalid claims: token is not valid yet")


class Refused(Exception):
    pass


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def _part(text, what):
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{UNREADABLE}token is malformed: could not base64 decode {what}") from None
    try:
        return json.loads(data)
    except ValueError:
        first = chr(data[0]) if data else ""
        raise Refused(f"{UNREADABLE}token is malformed: could not JSON decode {what}: "
                      f"invalid character '{first}' looking for beginning of value") from None


def claims_of(token, public_key, mesh):
    parts = token.split(".")
    if len(parts) != 3:
        raise Refused(f"{UNREADABLE}token is malformed: token contains an invalid number of segments")
    header, claims = _part(parts[0], "header"), _part(parts[1], "claim")
    if header.get("alg") != "RS256":
        raise Refused(f"{UNREADABLE}token is unverifiable: error while executing keyfunc: "
                      f"unsupported token alg {header.get('alg')}. Allowed algorithm is RS256")
    if header.get("kid") != "1":
        raise Refused(f"there is no signing key with KID {header.get('kid')}. Secret of name "
                      f"{quoted('dataplane-token-signing-key-%s-%s' % (mesh, header.get('kid')))} in mesh {quoted(mesh)} is not found. "
                      "If signing key was rotated, regenerate the token")
    key = serialization.load_pem_public_key(public_key.encode())
    try:
        signature = base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4))
        key.verify(signature, f"{parts[0]}.{parts[1]}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        raise Refused(f"{UNREADABLE}token signature is invalid: crypto/rsa: verification error") from None
    now = time.time()
    if claims.get("nbf", 0) > now:
        raise Refused(TOO_EARLY)
    if claims.get("exp", now + 1) <= now:
        raise Refused(f"{UNREADABLE}token has invalid claims: token is expired")
    return claims


def check(token, public_key, dataplane, revoked=(), workload_is_identity=True):
    """`workload_is_identity`: the SPIFFE ID comes from the workload label, which is the default of a real one."""
    name, mesh, labels = dataplane.get("name", ""), dataplane.get("mesh", ""), dataplane.get("labels") or {}
    claims = claims_of(token, public_key, mesh)
    if claims.get("jti") in revoked:
        raise Refused("token is revoked")
    for what, own, allowed in (("name", name, claims.get("Name")), ("mesh", mesh, claims.get("Mesh"))):
        if allowed and own != allowed:
            raise Refused(f"proxy {what} from requestor: {own} is different than in token: {allowed}")
    for tag, values in (claims.get("Tags") or {}).items():
        if tag not in labels:
            raise Refused(f"dataplane has no tag {quoted(tag)} required by the token")
        if labels[tag] not in values:
            known = "[" + " ".join(quoted(value) for value in sorted(values)) + "]"
            raise Refused(f"dataplane contains tag {quoted(tag)} with value {quoted(labels[tag])} which is not allowed with this token. "
                          f"Allowed values in token are {known}")
    own, allowed = labels.get(WORKLOAD), claims.get("Workload")
    if allowed and own is None:
        raise Refused("dataplane has no workload label required by the token")
    if allowed and own != allowed:
        raise Refused(f"dataplane workload {quoted(own)} is not allowed with this token. Allowed workload in token is {quoted(allowed)}")
    if own is not None and not allowed and workload_is_identity:
        raise Refused(f"dataplane with {quoted(WORKLOAD)} label {quoted(own)} derives its identity from the workload, "
                      "so it requires a workload-bound token")
