"""Which hosts belong to the same owner, as far as their names tell."""

from clients.oci.address import parse_address

# Second-level labels under which countries register domains: co.uk, com.au, ac.jp ...
_COUNTRY_LEVELS = """
    ac ad art asn biz co com ed edu gen go gob gouv gov govt gr gv id in inf info k12 kr lg ltd me mil
    muni name ne net nhs nom or org plc police priv pro res sch school store tm tv web
"""
# Domains whose subdomains belong to different customers of one provider.
_SHARED = """
    amazonaws.com amazonaws.com.cn on.aws awsapprunner.com cloudfront.net elasticbeanstalk.com
    azurecr.io azurecr.cn azurecr.us azurewebsites.net windows.net azure.com azureedge.net
    pkg.dev gcr.io run.app web.app appspot.com googleapis.com cloudfunctions.net
    github.io githubpreview.dev gitlab.io herokuapp.com vercel.app netlify.app pages.dev workers.dev
    fly.dev onrender.com railway.app ngrok.io ngrok.app ngrok-free.app deno.dev
    digitaloceanspaces.com ondigitalocean.app scw.cloud ocir.io oraclecloud.com icr.io
    aliyuncs.com myqcloud.com tencentcloudcr.com myhuaweicloud.com jfrog.io cloudsmith.io
    nip.io sslip.io duckdns.org dyndns.org no-ip.org ddns.net eu.org uk.com us.com
"""
_COUNTRY_SUFFIX_LEVELS = frozenset(_COUNTRY_LEVELS.split())
_SHARED_SUFFIXES = frozenset(_SHARED.split())
_COUNTRY_CODE_LENGTH = 2


def same_owner(one: str, other: str) -> bool:
    """Tells whether two host names, in lower case, are equal or share a registrable domain.

    There is no list of all public suffixes here. Countries' second levels and the domains of large
    hosting providers are known; for others, a domain of two labels counts as one owner's.
    """
    if one == other:
        return True
    if parse_address(one) is not None or parse_address(other) is not None:
        return False
    domain = _registrable(one)
    return domain is not None and domain == _registrable(other)


def owner_of(host: str) -> str:
    """Gives what the names of one owner have in common: a registrable domain, else the host itself."""
    return (None if parse_address(host) else _registrable(host)) or host


def _registrable(host: str) -> str | None:
    labels = host.split(".")
    for length in range(len(labels), 1, -1):
        if ".".join(labels[-length:]) in _SHARED_SUFFIXES:
            return _last(labels, length + 1)
    if len(labels) > 1 and len(labels[-1]) == _COUNTRY_CODE_LENGTH and labels[-2] in _COUNTRY_SUFFIX_LEVELS:
        return _last(labels, 3)
    return _last(labels, 2)


def _last(labels: list[str], count: int) -> str | None:
    return ".".join(labels[-count:]) if len(labels) >= count else None
