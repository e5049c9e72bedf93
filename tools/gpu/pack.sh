#!/usr/bin/env bash
# Packs what a bare x86-64 Linux machine with a GPU driver and no network needs to run the project,
# into .gpu/ at the repository's root (about 40 MiB; git ignores it): Deno, the npm packages, the Vulkan loader.
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
ls .gpu/libvulkan1_*.deb >/dev/null 2>&1 || (cd .gpu && apt-get download -q libvulkan1)
cp "$here/boot.sh" .gpu/boot.sh
# Recorded answers, where they lie beside the repository, and the commit, which the other machine cannot ask git for.
cp ../shared/traces/*.jsonl .gpu/ 2>/dev/null || true
chmod -R u+w .gpu
git rev-parse --short=10 HEAD >.gpu/commit
du -sh .gpu
