#!/usr/bin/env bash
# Installs Prosody, ejabberd and what they need from the distribution's packages for spec/interop, as root or through sudo.
# The packages' own services are kept from starting, and nothing of them is configured here.
set -euo pipefail

# libnss-wrapper gives ejabberd its addresses: it asks the C library for them, which knows /etc alone.
packages=(prosody lua-unbound lua-readline ejabberd libnss-wrapper)

if states=$(dpkg-query -W -f '${Package} ${Version} ${Status}\n' "${packages[@]}" 2>/dev/null) && ! grep -qv ' install ok installed$' <<<"$states"; then
  echo "$states"
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
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
