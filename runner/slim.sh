#!/bin/sh
# Copies GitHub's image without the files that no task on Fargate can use:
#
#   slim.sh FROM TO NAME=VALUE ...
#
# FROM and TO are directories. TO gets `runner`, with the directory /home, and `system`, with everything else, so that an
# image has two layers, which are pulled at the same time. `NAME=VALUE` are the variables that the Dockerfile declares for
# the slim image. An image from `scratch` inherits none. If the base has another variable or value, the build fails.
set -eu

from=$1 to=$2
shift 2

# What the shell and the builder set, the builder also for a proxy. BuildKit in a container adds the context of its trace
# to each RUN (executor/oci/spec.go of moby/buildkit).
added=' HOME HOSTNAME OLDPWD PWD SHLVL TERM _ SOURCE_DATE_EPOCH ALL_PROXY FTP_PROXY HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy ftp_proxy http_proxy https_proxy no_proxy '
lost=$(env | while IFS= read -r line; do
    known=
    for declared; do
        if [ "$line" = "$declared" ]; then known=1; fi
    done
    case "$added" in *" ${line%%=*} "*) known=1 ;; esac
    case "$line" in OTEL_* | TRACEPARENT=* | TRACESTATE=*) known=1 ;; esac
    if [ -z "$known" ]; then printf ' `%s`' "${line%%=*}"; fi
done)
if [ -n "$lost" ]; then
    echo "error: the base image sets$lost as no slim image does: build with VARIANT=full, and report it, so that runner/Dockerfile declares it" >&2
    exit 1
fi

# Keeps owners, modes, times, links and extended attributes.
mkdir "$to/system" "$to/runner"
cp -a "$from/." "$to/system"
mv "$to/system/home" "$to/runner/home"
whole=$(du -sk "$to" | cut -f 1)
# Docker and its tools, for which Fargate has no daemon; Node for containers of Alpine; and hooks for Kubernetes. As
# images/Dockerfile and src/Misc/externals.sh of actions/runner install them (2.336).
for tool in containerd containerd-shim-runc-v2 ctr docker docker-init docker-proxy dockerd runc; do
    rm -f "$to/system/usr/bin/$tool"
done
rm -rf "$to/system/usr/local/lib/docker" "$to/runner/home/runner/k8s" "$to/runner/home/runner/k8s-novolume" "$to"/runner/home/runner/externals/node*_alpine
echo "slim: $((whole / 1024)) MiB before, $(($(du -sk "$to" | cut -f 1) / 1024)) MiB after"
