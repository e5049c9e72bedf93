#!/bin/sh
# Builds Mesa's software driver with subgroups as wide as a GPU's, so that kernels run here with the 32 lanes of NVIDIA,
# Apple and RDNA, or the 64 of older AMD. As root, on Debian; three minutes on two cores.
#
#   sh tools/gpu/wide_llvmpipe.sh DIR
#   VK_DRIVER_FILES=DIR/icd.json LP_NATIVE_VECTOR_WIDTH=1024 XDG_RUNTIME_DIR=/tmp ./run test:device
#
# The width is 32 times the lanes; Debian's own driver has 4, 8 or 16 of them. Kernels are chosen as for a CPU;
# `isSoftware: false` in infoOf() of kernels/open_gpu.ts, not to be committed, chooses them as for a GPU. In that way all of
# test:device passed with 32 lanes, and tests/kernels with 64 and with 32 of 64 (`subgroupVaries`).
set -eu

if [ $# -ne 1 ]; then
  echo "Usage: sh tools/gpu/wide_llvmpipe.sh DIR" >&2
  exit 2
fi
mkdir -p "$1"
cd "$1"

apt-get install -y -qq curl meson glslang-tools python3-mako llvm-15-dev libdrm-dev libelf-dev libexpat1-dev \
  zlib1g-dev libzstd-dev libudev-dev bison flex pkg-config
curl -fsSL http://deb.debian.org/debian/pool/main/m/mesa/mesa_22.3.6.orig.tar.gz | tar -xz
cd mesa-22.3.6

gallium=src/gallium
# Arrays of what a vector holds, and how many of its lanes a compute shader uses.
sed -i 's/define LP_MAX_VECTOR_WIDTH 512/define LP_MAX_VECTOR_WIDTH 2048/' $gallium/auxiliary/gallivm/lp_bld_type.h
sed -i 's/MIN2(lp_native_vector_width \/ 32, 16)/MIN2(lp_native_vector_width \/ 32, 64)/' $gallium/drivers/llvmpipe/lp_state_cs.c
# Otherwise wide vectors round ties away from zero.
sed -i 's/has_avx && type.width\*type.length == 256/has_avx \&\& type.width*type.length % 256 == 0/' \
  $gallium/auxiliary/gallivm/lp_bld_arit.c

export PATH=/usr/bin:$PATH # Debian's Python has what was installed, another may not
meson setup build -Dbuildtype=release -Dvulkan-drivers=swrast -Dgallium-drivers=swrast -Dplatforms= -Dopengl=false \
  -Dgles1=disabled -Dgles2=disabled -Dglx=disabled -Degl=disabled -Dgbm=disabled -Dllvm=enabled -Dshared-llvm=enabled \
  -Dvalgrind=disabled -Dlibunwind=disabled -Dvideo-codecs=
ninja -C build
cd ..
library=$PWD/mesa-22.3.6/build/$gallium/targets/lavapipe/libvulkan_lvp.so
echo "{\"ICD\": {\"api_version\": \"1.3.230\", \"library_path\": \"$library\"}, \"file_format_version\": \"1.0.0\"}" > icd.json
echo "For 32 lanes: VK_DRIVER_FILES=$PWD/icd.json LP_NATIVE_VECTOR_WIDTH=1024 XDG_RUNTIME_DIR=/tmp; for 64: 2048."
