# What a task of GitHub's own image starts with: bash executes this text, with the agent's path as $0. It downloads the
# agent, compares its SHA-256 with the one in the task definition, and replaces itself by the agent, which is then
# process 1. The URL is a credential: its query must not be printed, and no later process may have it.
trap 'exit 21' INT TERM
fail() { code=$1; shift; echo "error: $*" >&2; exit "$code"; }
url=${ECSRUNNER_AGENT_URL-} expected=${ECSRUNNER_AGENT_SHA256-}
unset ECSRUNNER_AGENT_URL ECSRUNNER_AGENT_SHA256
[ -n "$url" ] || fail 40 "ECSRUNNER_AGENT_URL is not set: the URL of the agent is expected"
umask 022
told=$(curl --silent --fail --location --max-redirs 3 --connect-timeout 5 --max-time 60 --retry 4 --retry-delay 1 --retry-all-errors --retry-max-time 120 --write-out 'status %{http_code} %{errormsg}' --output "$0" -- "$url") || fail 40 "the agent cannot be downloaded from ${url%%[?#]*}: ${told:-curl is missing}"
read -r found _ < <(sha256sum "$0")
[ "$found" = "$expected" ] || fail 41 "the agent from ${url%%[?#]*} has the SHA-256 ${found:-unknown}: ${expected:-none} is expected"
chmod 0755 "$0" && exec "$0"
