# Source this on the bare machine, in the repository's root: puts deno on the PATH, makes the GPU's Vulkan driver visible.
# Packed by pack.sh.
gpu_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpu_bin=${TMPDIR:-/tmp}/gpu-bin
export PATH="$gpu_bin:$PATH:/usr/sbin:/sbin" # ldconfig may lie in the last
mkdir -p "$gpu_bin"
if [ ! -x "$gpu_bin/deno" ]; then
  python3 -c 'import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"), 1 << 22)' "$gpu_dir/deno.xz" "$gpu_bin/deno"
  chmod +x "$gpu_bin/deno"
fi
ldconfig -p | grep -q libvulkan.so.1 || { for f in "$gpu_dir"/*.deb; do dpkg -x "$f" /; done; ldconfig; }
export DENO_DIR="$gpu_dir/deno_dir" DENO_NO_UPDATE_CHECK=1 XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}
gpu_icd=$(find -L /usr/local/nvidia /usr/share/vulkan /etc/vulkan -name 'nvidia_icd*.json' 2>/dev/null | head -n 1)
[ -z "$gpu_icd" ] || export VK_DRIVER_FILES=$gpu_icd VK_ICD_FILENAMES=$gpu_icd
deno eval 'const a = await navigator.gpu.requestAdapter(); console.log(a ? `${a.info.description}, subgroups ${a.info.subgroupMinSize} to ${a.info.subgroupMaxSize}, storage binding ${a.limits.maxStorageBufferBindingSize >> 20} MiB` : "no WebGPU adapter");'
[ ! -s "$gpu_dir/commit" ] || export DITTO_COMMIT=$(cat "$gpu_dir/commit")
