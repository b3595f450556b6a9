// A module worker that answers {id, body: ArrayBuffer} with {id, md5: base64}. WebCrypto has no MD5, and a WebAssembly
// library would need 'wasm-unsafe-eval' in the page's Content-Security-Policy. RFC 1321.

const SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
const SINES = Int32Array.from({length: 64}, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);

export function md5(buffer) {
  const size = buffer.byteLength, whole = size - (size % 64);
  const tail = new Uint8Array(size - whole < 56 ? 64 : 128);
  tail.set(new Uint8Array(buffer, whole));
  tail[size - whole] = 0x80;
  const end = new DataView(tail.buffer);
  end.setUint32(tail.length - 8, (size << 3) >>> 0, true);
  end.setUint32(tail.length - 4, Math.floor(size / 2 ** 29), true);
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  blocks(state, new Int32Array(buffer, 0, whole / 4)); // little-endian, as every platform of browsers
  blocks(state, new Int32Array(tail.buffer));
  return new Uint8Array(state.buffer);
}

function blocks(state, words) {
  let [a0, b0, c0, d0] = state;
  for (let at = 0; at < words.length; at += 16) {
    let a = a0, b = b0, c = c0, d = d0;
    let i = 0, sum = 0, shift = 0; // a loop for each round, so that a step has no branch
    for (; i < 16; i++) {
      sum = (a + (d ^ (b & (c ^ d))) + words[at + i] + SINES[i]) | 0; shift = SHIFTS[i & 3];
      a = d; d = c; c = b; b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
    }
    for (; i < 32; i++) {
      sum = (a + (c ^ (d & (b ^ c))) + words[at + ((5 * i + 1) & 15)] + SINES[i]) | 0; shift = SHIFTS[4 + (i & 3)];
      a = d; d = c; c = b; b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
    }
    for (; i < 48; i++) {
      sum = (a + (b ^ c ^ d) + words[at + ((3 * i + 5) & 15)] + SINES[i]) | 0; shift = SHIFTS[8 + (i & 3)];
      a = d; d = c; c = b; b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
    }
    for (; i < 64; i++) {
      sum = (a + (c ^ (b | ~d)) + words[at + ((7 * i) & 15)] + SINES[i]) | 0; shift = SHIFTS[12 + (i & 3)];
      a = d; d = c; c = b; b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
    }
    a0 = (a0 + a) | 0; b0 = (b0 + b) | 0; c0 = (c0 + c) | 0; d0 = (d0 + d) | 0;
  }
  state.set([a0, b0, c0, d0]);
}

if (typeof WorkerGlobalScope !== "undefined") {
  self.onmessage = ({data}) => postMessage({id: data.id, md5: btoa(String.fromCharCode(...md5(data.body)))});
}
