#!/bin/sh
# What Microsoft's compilers for DirectX 12 make of the kernels, without Windows: FXC, which Deno takes, or DXC, which it
# takes with DENO_WEBGPU_DX12_COMPILER=dxc if dxcompiler.dll is on the PATH.
#
#   deno run -A tools/gpu/kernel_sources.ts DIR bf16 subgroups=0
#   sh tools/gpu/dx12.sh fxc DIR [NAME ...]
#
#   deno run -A tools/gpu/kernel_sources.ts DIR
#   sh tools/gpu/dx12.sh dxc DIR [NAME ...]
#
# (Only DXC knows subgroups and f16.) WGSL goes through naga, which Deno uses too, to HLSL, and under wine through the
# compilers, which come with Dawn's package on npm. Needed besides npm:
#
#   apt-get install wine64 gcc-mingw-w64-x86-64-win32
#   cargo install naga-cli --version ^29
set -eu

case ${1:-} in
  fxc) model=51 ;;
  dxc) model=60 ;;
  *) model= ;;
esac
if [ $# -lt 2 ] || [ -z "$model" ]; then
  echo "Usage: sh tools/gpu/dx12.sh fxc | dxc DIR [NAME ...]" >&2
  exit 2
fi
compiler=$1
here=$(cd "$(dirname "$0")" && pwd)
cd "$2"
shift 2
[ $# -gt 0 ] || set -- $(ls ./*.wgsl | sed 's/^\.\///; s/\.wgsl$//')

if [ ! -e dxcompiler.dll ]; then
  npm pack --silent webgpu@0.6.2 >/dev/null
  tar -xzf webgpu-0.6.2.tgz --strip-components=3 package/dist/win32-x64/d3dcompiler_47.dll \
    package/dist/win32-x64/dxcompiler.dll
  rm webgpu-0.6.2.tgz
fi
x86_64-w64-mingw32-gcc -O1 -o compile.exe "$here/dx12/compile.c"

for name in "$@"; do
  overrides=$(tr '{},' '\n\n\n' < "$name.json" | sed -n 's/^"\(.*\)":\(.*\)$/--override \1=\2/p')
  # shellcheck disable=SC2086 # words, not one
  naga $overrides --shader-model $model --index-bounds-check-policy Restrict "$name.wgsl" "$name.hlsl"
done

export WINEDEBUG=-all WINEPREFIX="${WINEPREFIX:-$PWD/wine}"
export WINEDLLOVERRIDES="d3dcompiler_47,dxcompiler=n;mscoree,mshtml="
wine=$(command -v wine64 || echo /usr/lib/wine/wine64) # Debian 12 keeps it there
for name in "$@"; do set -- "$@" "$name.hlsl"; shift; done
exec "$wine" compile.exe "$compiler" "$@"
