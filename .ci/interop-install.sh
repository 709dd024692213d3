#!/usr/bin/env bash
# Installs Prosody and its DNS library from the distribution's packages for spec/interop, as root or through sudo.
# The packages' own service is kept from starting, and nothing of it is configured here.
set -euo pipefail

if command -v prosody >/dev/null && lua5.4 -e 'require "lunbound"' 2>/dev/null; then
  dpkg-query -W prosody lua-unbound
  exit 0
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

# Debian's maintainer scripts ask this file before they start a service; 101 says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends prosody lua-unbound lua-readline
