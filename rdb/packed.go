package rdb

import (
	"encoding/binary"
	"fmt"

	"github.com/emberkv/ember/internal/pack"
)

const (
	// PackedChunkBytes is the size of the chunks into which the data of a block
	// are cut, each compressed by itself. A usual block is one chunk. A large
	// one is packed, and above all unpacked, in steps of this size: its reader
	// takes memory as it progresses, not because a length says so.
	PackedChunkBytes = 256 << 10

	// Before each chunk stand its length and the length of its packed form; if the
	// two are the same it stands there as it is.
	chunkHeadBytes = 4 + 4
)

// appendPacked appends the packed form of a block's data to dst. It returns false,
// and dst as it was, if that is not smaller than the data.
func appendPacked(dst []byte, enc *pack.Encoder, a pack.Algorithm, data []byte) ([]byte, bool) {
	le, begin := binary.LittleEndian, len(dst)
	for rest := data; len(rest) > 0; {
		chunk := rest[:min(len(rest), PackedChunkBytes)]
		rest = rest[len(chunk):]
		head := len(dst)
		dst = le.AppendUint32(dst, uint32(len(chunk)))
		dst = le.AppendUint32(dst, 0) // filled in below
		packed, ok := enc.Append(dst, a, chunk)
		if dst = packed; !ok {
			dst = append(dst, chunk...)
		}
		le.PutUint32(dst[head+4:], uint32(len(dst)-head-chunkHeadBytes))
	}
	if len(dst)-begin >= len(data) {
		return dst[:begin], false
	}
	return dst, true
}

// unpackedLength returns how many bytes of data a packed form stands for. It reads
// only the heads of the chunks, and returns ErrFormat unless they are as
// appendPacked writes them: every chunk but the last is full, and the whole is
// within the limits of a block.
func unpackedLength(packed []byte) (int, error) {
	total, last := 0, false
	for rest := packed; len(rest) > 0; {
		if len(rest) < chunkHeadBytes || last {
			return 0, fmt.Errorf("%w: %d bytes behind the last chunk of a packed block", ErrFormat, len(rest))
		}
		size, length := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
		rest = rest[chunkHeadBytes:]
		switch {
		case size == 0 || size > PackedChunkBytes || length == 0 || length > size:
			return 0, fmt.Errorf("%w: chunk of %d bytes in %d", ErrFormat, size, length)
		case int(length) > len(rest):
			return 0, fmt.Errorf("%w: chunk of %d bytes in a packed block's last %d", ErrFormat, length, len(rest))
		}
		rest = rest[length:]
		total += int(size)
		last = size < PackedChunkBytes
		if total > MaxBlockBytes-blockFieldBytes {
			return 0, fmt.Errorf("%w: packed block of more than %d bytes", ErrFormat, MaxBlockBytes)
		}
	}
	if total <= len(packed) {
		return 0, fmt.Errorf("%w: block of %d bytes packed in %d", ErrFormat, total, len(packed))
	}
	return total, nil
}

// unpack returns the data of a block, in room if that is large enough, or else in fresh
// memory. It takes at most trustBytes for what has yet to be unpacked, and then as much again
// as was.
func unpack(room []byte, dec *pack.Decoder, a pack.Algorithm, packed []byte) ([]byte, error) {
	total, err := unpackedLength(packed)
	if err != nil {
		return nil, err
	}
	data := room[:0]
	if cap(data) < total {
		data = make([]byte, 0, min(total, trustBytes))
	}
	for rest := packed; len(rest) > 0; {
		size, length := int(binary.LittleEndian.Uint32(rest)), int(binary.LittleEndian.Uint32(rest[4:]))
		chunk := rest[chunkHeadBytes:][:length]
		rest = rest[chunkHeadBytes+length:]
		if have := len(data); cap(data)-have < size {
			grown := make([]byte, have, min(total, max(2*have, have+size)))
			copy(grown, data)
			data = grown
		}
		room := data[len(data):][:size]
		data = data[:len(data)+size]
		if length == size {
			copy(room, chunk)
		} else if err := dec.Unpack(room, a, chunk); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	return data, nil
}
