#!/bin/bash
# Builds runner/Dockerfile for real, with a small tree in the place of GitHub's image. It needs a Docker engine with
# BuildKit and a static busybox, but no network. Exit code 77: one of them is missing, and its words say which.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
runner=$here/../../runner
docker=${DOCKER:-docker}
export DOCKER_BUILDKIT=1

missing() { echo "$1"; exit 77; }
busybox=$(command -v busybox) || missing "busybox is not installed"
"$docker" info > /dev/null 2>&1 || missing "no Docker engine answers"
work=$(mktemp -d)
images=()
trap 'for image in "${images[@]}"; do "$docker" rmi --force "$image" > /dev/null 2>&1 || true; done; rm -rf "$work"' EXIT
tag=ecsrunner-build-test

# The tree of GitHub's image, as far as the Dockerfile knows it. As in Ubuntu, /bin is a link.
base=$work/base
mkdir -p "$base"/{dev,etc,proc,sys,tmp,usr/bin,usr/local/bin,usr/local/lib/docker/cli-plugins} \
    "$base"/home/runner/{bin,k8s,k8s-novolume,externals/node20/bin,externals/node20_alpine/bin,externals/node24_alpine}
ln -s usr/bin "$base/bin"
cp "$busybox" "$base/usr/bin/busybox"
for tool in cp cut du env mkdir mv rm sh; do ln -s busybox "$base/usr/bin/$tool"; done
printf 'root:x:0:0::/root:/bin/sh\nrunner:x:1001:123::/home/runner:/bin/sh\n' > "$base/etc/passwd"
printf 'root:x:0:\ndocker:x:123:\n' > "$base/etc/group"
for file in usr/bin/{containerd,containerd-shim-runc-v2,ctr,docker,docker-init,docker-proxy,dockerd,runc,git} usr/local/lib/docker/cli-plugins/docker-buildx \
    home/runner/{bin/Runner.Listener,k8s/index.js,k8s-novolume/index.js,externals/node20/bin/node,externals/node20_alpine/bin/node}; do
    echo "$file" > "$base/$file"
done
cp "$busybox" "$base/usr/bin/sudo"
ln "$base/usr/bin/sudo" "$base/usr/bin/sudoedit"
chmod 4755 "$base/usr/bin/sudo"
chmod 1777 "$base/tmp"
chmod 777 "$base/home/runner"
variables='ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin APP_UID=1654 ASPNETCORE_HTTP_PORTS=8080 DOTNET_RUNNING_IN_CONTAINER=true DEBIAN_FRONTEND=noninteractive RUNNER_MANUALLY_TRAP_SIG=1 ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT=1 ImageOS=ubuntu24'
import() { # name, further changes
    local name=$1 changes=() change
    shift
    for change in "$variables" 'WORKDIR /home/runner' 'USER runner' "$@"; do changes+=(--change "$change"); done
    # Without the right to change owners, everything is one user's.
    tar --directory "$base" --create --numeric-owner --transform 's,^\./,,' --owner 0 --group 0 --exclude ./home . > "$work/base.tar"
    tar --directory "$base" --append --file "$work/base.tar" --numeric-owner --owner 1001 --group 123 ./home
    "$docker" import "${changes[@]}" "$work/base.tar" "$name" > /dev/null
    images+=("$name")
}
import "$tag-base:1"

agents=$work/agents
mkdir "$agents"
printf '#!/bin/sh\n' | tee "$agents/agent-amd64" > "$agents/agent-arm64"
# An old Docker has no build contexts with names. An image of that name is as good.
context() {
    if "$docker" buildx version > /dev/null 2>&1; then
        contexts=(--build-context "ecsrunner=$agents")
    else
        contexts=()
        tar --directory "$agents" --create . | "$docker" import - ecsrunner:latest > /dev/null
        images+=(ecsrunner:latest)
    fi
}
context
build() { # variant, base
    code=0
    "$docker" build --network none --progress plain "${contexts[@]}" --build-arg "BASE_IMAGE=$2" --build-arg "VARIANT=$1" \
        --tag "$tag-$1:1" "$runner" > "$work/out" 2>&1 || code=$?
    images+=("$tag-$1:1")
}
failed() { echo "FAILED: $test: $1"; cat "$work/out"; exit 1; }
works() { [ "$code" = 0 ] || failed "exit code $code"; }
files() { # variant
    local container
    container=$("$docker" create --entrypoint sh "$tag-$1:1")
    "$docker" export "$container" | tar --list --verbose --numeric-owner > "$work/$1.files"
    "$docker" rm "$container" > /dev/null
}
config() { "$docker" inspect --format "{{json .Config.$2}}" "$tag-$1:1"; }
variables_of() { "$docker" inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$tag-$1:1" | sort; }
holds() { grep -qE -- "$2" "$work/$1.files" || failed "the variant $1 has no $2"; }
lacks() { ! grep -qE -- "$2" "$work/$1.files" || failed "the variant $1 has $2"; }

test="the full image is its base with the agent"
build full "$tag-base:1"
works
files full
holds full '^-rwxr-xr-x 0/0 .* usr/local/bin/ecsrunner-agent$'
holds full ' usr/bin/docker$'
lacks full ' opt/ecsrunner/actions/.'

test="the slim image lacks what no task can use, and nothing else"
build slim "$tag-base:1"
works
files slim
left=$(diff <(awk '{print $1, $2, $6}' "$work/full.files" | sort) <(awk '{print $1, $2, $6}' "$work/slim.files" | sort) | grep '^[<>]' | awk '{print $1, $4}' | sort | tr '\n' ';') || true
wanted=$(for file in home/runner/externals/node20_alpine/ home/runner/externals/node20_alpine/bin/ home/runner/externals/node20_alpine/bin/node \
    home/runner/externals/node24_alpine/ home/runner/k8s/ home/runner/k8s/index.js home/runner/k8s-novolume/ home/runner/k8s-novolume/index.js \
    usr/bin/{containerd,containerd-shim-runc-v2,ctr,docker,docker-init,docker-proxy,dockerd,runc} \
    usr/local/lib/docker/ usr/local/lib/docker/cli-plugins/ usr/local/lib/docker/cli-plugins/docker-buildx; do echo "< $file"; done | sort | tr '\n' ';')
[ "$left" = "$wanted" ] || failed "what differs: $left"

test="owners, modes and links stay"
holds slim '^-rwsr-xr-x 0/0 .* usr/bin/sudo$'
holds slim '^h.* usr/bin/sudoedit link to usr/bin/sudo$|^h.* usr/bin/sudo link to usr/bin/sudoedit$'
holds slim '^lrwxrwxrwx 0/0 .* bin -> usr/bin$'
holds slim '^drwxrwxrwx 1001/123 .* home/runner/$'
holds slim '^drwxrwxrwt 0/0 .* tmp/$'

test="both have the same variables, user, directory and start"
[ "$(variables_of slim)" = "$(variables_of full)" ] || failed "$(diff <(variables_of slim) <(variables_of full))"
for key in User WorkingDir Entrypoint Cmd; do
    [ "$(config slim $key)" = "$(config full $key)" ] || failed "$key is $(config slim $key) and $(config full $key)"
done

test="a base with a variable that the slim image would lose is refused, and full is not"
import "$tag-base:2" 'ENV NEW="of GitHub"' 'ENV ImageOS=ubuntu26'
build slim "$tag-base:2"
[ "$code" != 0 ] || failed "it succeeded"
grep -qE 'error: the base image sets( `NEW`| `ImageOS`){2} as no slim image does' "$work/out" || failed "other words"
build full "$tag-base:2"
works

test="what BuildKit in a container adds to each RUN is not taken for the base's"
import "$tag-base:4" 'ENV OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=unix:///dev/otel-grpc.sock OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc TRACEPARENT=00-1-2-01 TRACESTATE=a=b'
build slim "$tag-base:4"
works
! variables_of slim | grep -qE 'OTEL|TRACE' || failed "the image has them"

test="archives of actions are where the runner looks for them"
mkdir -p "$agents/actions/acme_tool"
echo archive > "$agents/actions/acme_tool/0123.tar.gz"
context
build slim "$tag-base:1"
works
files slim
holds slim ' opt/ecsrunner/actions/acme_tool/0123.tar.gz$'
variables_of slim | grep -qx ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE=/opt/ecsrunner/actions || failed "the runner does not know where"

test="they join those of the base"
import "$tag-base:3" 'ENV ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE=/home/runner/archives'
build full "$tag-base:3"
works
files full
holds full ' home/runner/archives/acme_tool/0123.tar.gz$'

echo "8 passed"
