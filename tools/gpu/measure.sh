#!/usr/bin/env bash
# What a machine with a GPU is asked, in parts of ten minutes at most, so that each fits into one call:
#
#   bash tools/gpu/measure.sh right|fast|quantized|peers|llama OUT
#
# right       kernels and losslessness on this device, and the demo
# fast        each kernel; then the engine in bf16: prompts, plain decoding, passes by rows, recorded answers
# quantized   the engine in q8, q4 and fp8, prompts in f32 against f16, drafting
# peers       Hugging Face transformers on the same shape and answers
# llama       llama.cpp on them, its Vulkan backend
#
# Every step leaves OUT/<step>.log, and results that belong into bench/results/ OUT/<step>.json. A step that fails or
# takes too long does not keep the next one from running. SHAPE=tiny shows in minutes, on any device, that it all runs.
set -uo pipefail
cd "$(dirname "$0")/../.."
part=${1:-} out=${2:-}
[ -n "$out" ] || { sed -n '2,/^set/ s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ ! -e .gpu/boot.sh ] || source .gpu/boot.sh
shape=${SHAPE:-mistral-7b}
answers=(--replay "$(ls .gpu/*.jsonl ../shared/traces/*.jsonl 2>/dev/null | head -n 1)" --task cnn_dm)
tokenizer=$(ls -d .gpu/tokenizer ../shared/tokenizer 2>/dev/null | head -n 1)
mkdir -p "$out"

# step SECONDS NAME COMMAND...
step() {
  local seconds=$1 name=$2 start=$SECONDS
  shift 2
  timeout "$seconds" "$@" >"$out/$name.log" 2>&1
  echo "== $name: exit code $? after $((SECONDS - start)) s; the end of its log:"
  tail -n "${TAIL:-25}" "$out/$name.log"
}

engine() {
  local seconds=$1 name=$2
  shift 2
  step "$seconds" "$name" deno run -A bench/end_to_end.ts --shape "$shape" --out "$out/$name.json" "$@"
}

case $part in
right)
  step 30 devices deno run -A decode.ts --list-devices
  step 390 tests deno task test:device
  step 60 prompt_cache deno test -A tests/decode/prompt_cache.test.ts
  step 120 demo deno task demo
  ;;
fast)
  step 150 kernels deno bench -A bench/kernels.bench.ts
  engine 420 bf16 "${answers[@]}" --tokenizer "$tokenizer" --answers 15 --drafter tree --drafter original
  ;;
quantized)
  engine 150 q8 --dtype q8 "${answers[@]}" --tokenizer "$tokenizer" --answers 5
  engine 150 q4 --dtype q4 "${answers[@]}" --tokenizer "$tokenizer" --answers 5
  engine 100 fp8 --dtype fp8
  engine 100 f32 --prompt-precision f32
  step 60 drafting deno run -A bench/drafting.ts
  ;;
peers)
  step 540 transformers python3 bench/peers/transformers_replay.py --shape "$shape" "${answers[@]}" --answers 15 \
    --out "$out/transformers.json"
  ;;
llama)
  packages=${TMPDIR:-/tmp}/llama
  mkdir -p "$packages"
  python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' .gpu/llama.tar.xz "$packages"
  step 560 llama deno run -A bench/peers/llama_cpp.ts --modules "$packages/node_modules" --gpu vulkan --shape "$shape" \
    "${answers[@]}" --answers 15 --out "$out/llama.json"
  ;;
*) exec bash "$0" ;;
esac
