#!/bin/sh
# What Microsoft's FXC makes of the kernels, without Windows: Deno compiles with it where it has DirectX 12 alone, not Vulkan.
#
#   deno run -A tools/gpu/kernel_sources.ts DIR bf16 subgroups=0
#   sh tools/gpu/fxc.sh DIR [NAME ...]
#
# WGSL goes through naga (which Deno uses too) to HLSL of shader model 5.1, and through d3dcompiler_47.dll, which runs under
# wine and comes with Dawn's package on npm. Needed besides npm:
#
#   apt-get install wine64 gcc-mingw-w64-x86-64-win32
#   cargo install naga-cli --version ^29
set -eu

if [ $# -lt 1 ]; then
  echo "Usage: sh tools/gpu/fxc.sh DIR [NAME ...]" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
shift
[ $# -gt 0 ] || set -- $(ls ./*.wgsl | sed 's/^\.\///; s/\.wgsl$//')

if [ ! -e d3dcompiler_47.dll ]; then
  npm pack --silent webgpu@0.6.2 >/dev/null
  tar -xzf webgpu-0.6.2.tgz --strip-components=3 package/dist/win32-x64/d3dcompiler_47.dll
  rm webgpu-0.6.2.tgz
fi
x86_64-w64-mingw32-gcc -O1 -o fxc.exe "$here/fxc.c"

for name in "$@"; do
  overrides=$(tr '{},' '\n\n\n' < "$name.json" | sed -n 's/^"\(.*\)":\(.*\)$/--override \1=\2/p')
  # shellcheck disable=SC2086 # words, not one
  naga $overrides --shader-model 51 --index-bounds-check-policy Restrict "$name.wgsl" "$name.hlsl"
done

export WINEDEBUG=-all WINEPREFIX="${WINEPREFIX:-$PWD/wine}" WINEDLLOVERRIDES="d3dcompiler_47=n;mscoree,mshtml="
wine=$(command -v wine64 || echo /usr/lib/wine/wine64) # Debian 12 keeps it there
for name in "$@"; do
  "$wine" fxc.exe "$name.hlsl"
done
