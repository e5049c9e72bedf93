#!/bin/sh
# Builds Mesa's driver for Intel GPUs and what plays such a GPU to it, so that its compiler can be asked, without a GPU, how
# many registers kernels spill. As root, on Debian; five minutes on two cores.
#
#   sh tools/gpu/intel.sh DIR
#   LD_PRELOAD=DIR/shim.so INTEL_STUB_GPU_PLATFORM=dg2 VK_DRIVER_FILES=DIR/icd.json INTEL_DEBUG=cs \
#     MESA_SHADER_CACHE_DISABLE=1 XDG_RUNTIME_DIR=/tmp deno run -A tools/gpu/kernel_sources.ts OUT 2>&1 |
#     grep -aE '^[[:alnum:]-]+$|^SIMD'
#
# dg2 is an Arc, tgl the GPU of an 11th generation, skl that of a 6th. Nothing runs: what is read back is zeros.
set -eu

if [ $# -ne 1 ]; then
  echo "Usage: sh tools/gpu/intel.sh DIR" >&2
  exit 2
fi
mkdir -p "$1"
cd "$1"

apt-get install -y -qq curl meson python3-mako libdrm-dev libexpat1-dev zlib1g-dev libzstd-dev bison flex pkg-config glslang-tools
curl -fsSL http://deb.debian.org/debian/pool/main/m/mesa/mesa_22.3.6.orig.tar.gz | tar -xz
cd mesa-22.3.6

export PATH=/usr/bin:$PATH # Debian's Python has what was installed, another may not
meson setup build -Dbuildtype=release -Dvulkan-drivers=intel -Dgallium-drivers= -Dplatforms= -Dopengl=false \
  -Dgles1=disabled -Dgles2=disabled -Dglx=disabled -Degl=disabled -Dgbm=disabled -Dllvm=disabled -Dvalgrind=disabled \
  -Dlibunwind=disabled -Dvideo-codecs= -Dtools=drm-shim,intel
ninja -C build src/intel/vulkan/libvulkan_intel.so src/intel/tools/libintel_noop_drm_shim.so
cd ..
ln -sf "$PWD/mesa-22.3.6/build/src/intel/tools/libintel_noop_drm_shim.so" shim.so
library=$PWD/mesa-22.3.6/build/src/intel/vulkan/libvulkan_intel.so
echo "{\"ICD\": {\"api_version\": \"1.3.230\", \"library_path\": \"$library\"}, \"file_format_version\": \"1.0.0\"}" > icd.json
echo "LD_PRELOAD=$PWD/shim.so INTEL_STUB_GPU_PLATFORM=dg2 VK_DRIVER_FILES=$PWD/icd.json INTEL_DEBUG=cs MESA_SHADER_CACHE_DISABLE=1"
