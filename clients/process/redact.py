"""Takes secrets out of text that somebody will read."""

import re

MASK = "[redacted]"

_SECRET_KEYS = re.compile(r"authorization|password|passwd|secret|cookie|(^|_)token$", re.IGNORECASE)

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Penstock's own tokens, cut off or not; the prefix stays, to say what was there.
    (re.compile(r"\b(ps[tn])_[0-9A-Za-z]{6,}"), rf"\1_{MASK}"),
    # A header with its scheme, as text, as a dict's or a tuple's repr, as JSON.
    (
        re.compile(
            r"(authorization[\"']?\s*[:=,]\s*(?:b?[\"'])?)(?:(basic|bearer|accesstoken)\s+)?[^\s\"',]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # Schemes on their own, where what follows looks like a credential and not like the next word.
    (
        re.compile(r"\b((?i:basic|bearer|accesstoken)\s+)(?=\S*[0-9A-Z])[0-9A-Za-z._~+/-]{8,}=*"),
        rf"\1{MASK}",
    ),
    # The password in a URL.
    (re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s/@:\"']*):[^\s/\"']*@", re.IGNORECASE), rf"\1:{MASK}@"),
    # Signed URLs, and tokens in a query.
    (
        re.compile(
            # Of AWS and what speaks S3, Google, Azure, CloudFront, Cloudflare, Akamai, Fastly, Alibaba,
            # Tencent; after an & as it is, and as JSON and XML may have it.
            r"((?:[?&;]|\\u0026)(?:x-(?:amz|goog|oss|cos|obs)-(?:signature|credential|security-token)"
            r"|awsaccesskeyid|googleaccessid|ossaccesskeyid|signature|q-signature|sig|hmac|policy|key-pair-id"
            r"|verify|cf_sign|hdnea|hdnts|hdntl|__token__|__gda__|fastly_token|auth_key|security-token"
            r"|access_token|refresh_token|id_token|token|jwt|password)=)(?:(?!\\u0026)[^\s&\"'#])+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)


def redact(text: str) -> str:
    """Give the text with tokens, Authorization values, passwords and signatures in URLs masked."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def names_secret(key: str) -> bool:
    """Whether a field of this name holds a secret, whatever its value looks like."""
    return _SECRET_KEYS.search(key) is not None
