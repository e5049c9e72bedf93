#!/usr/bin/env bash
# Packs what a bare x86-64 Linux machine with a GPU driver and no network needs to run the project,
# into .gpu/ at the repository's root (52 MB; git ignores it): Deno, the npm packages, the Vulkan loader and the
# libraries that NVIDIA's driver looks for beside it, and llama.cpp (its Vulkan backend), which Ditto is compared with.
# Run it in the repository's root with Deno on the PATH. On the other machine: source .gpu/boot.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(git rev-parse --show-toplevel)
cd "$root"
mkdir -p .gpu
deno=$(deno eval 'console.log(Deno.execPath())')
if [ ! -s .gpu/deno.xz ] || [ "$deno" -nt .gpu/deno.xz ]; then
  xz -T0 -6 -c "$deno" >.gpu/deno.xz.half
  mv .gpu/deno.xz.half .gpu/deno.xz
fi
git ls-files -z '*.ts' | DENO_DIR="$root/.gpu/deno_dir" xargs -0 deno cache --quiet
ls .gpu/libgles2_*.deb >/dev/null 2>&1 ||
  (cd .gpu && apt-get download -q libvulkan1 libegl1 libglvnd0 libopengl0 libgl1 libglx0 libgles2)
if [ ! -s .gpu/llama.tar.xz ]; then
  peers=$(mktemp -d)
  trap 'rm -rf "$peers"' EXIT
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$peers" node-llama-cpp@3.22.1
  # Without its source and the backends for other machines: 12 MB of 240.
  tar -C "$peers" -c --exclude='node-llama-cpp/llama/*.bundle' --exclude='@node-llama-cpp/linux-x64-cuda*' \
    --exclude='@node-llama-cpp/linux-arm*' --exclude='@node-llama-cpp/linux-x64' node_modules |
    xz -T0 -6 >.gpu/llama.tar.xz.half
  mv .gpu/llama.tar.xz.half .gpu/llama.tar.xz
fi
cp "$here/boot.sh" .gpu/boot.sh
# Recorded answers and their tokenizer, where they lie beside the repository, and the commit, which the other machine cannot ask git for.
cp ../shared/traces/*.jsonl .gpu/ 2>/dev/null || true
cp -r ../shared/tokenizer .gpu/ 2>/dev/null || true
chmod -R u+w .gpu
git rev-parse --short=10 HEAD >.gpu/commit
du -sh .gpu
