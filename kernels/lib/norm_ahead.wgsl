// How a GPU sums squares: after the product a workgroup has nothing else to do, and should not wait for each load alone.

fn sum_squares(first: u32, end: u32) -> vec4f {
  var sum = vec4f();
  var i = first;
  for (; i + 3u * LANES < end; i += 4u * LANES) {
    let a = squares[i];
    let b = squares[i + LANES];
    let c = squares[i + 2u * LANES];
    let d = squares[i + 3u * LANES];
    sum = sum + a + b + c + d;
  }
  for (; i < end; i += LANES) {
    sum += squares[i];
  }
  return sum;
}
