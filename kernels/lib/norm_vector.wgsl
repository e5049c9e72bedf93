// How squares are summed where subgroups are a CPU's vector registers: there what is written once compiles sooner.

fn sum_squares(first: u32, end: u32) -> vec4f {
  var sum = vec4f();
  for (var i = first; i < end; i += LANES) {
    sum += squares[i];
  }
  return sum;
}
