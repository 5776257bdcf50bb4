package pds

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	maxVideo = 100_000_000 // app.bsky.embed.video
	maxBoxes = 10_000
)

// PrepareVideo passes an MP4 through. Nothing is decoded; the size comes from the track header, and boxes that hold
// metadata (place, maker, XMP) are blanked where they stand, so that no offset moves.
func PrepareVideo(raw []byte) (Blob, error) {
	if len(raw) > maxVideo {
		return Blob{}, fmt.Errorf("%w: a video of %d bytes", ErrMediaLimit, len(raw))
	}
	if len(raw) < 16 || string(raw[4:8]) != "ftyp" || string(raw[8:12]) == "avif" || string(raw[8:12]) == "heic" || string(raw[8:12]) == "mif1" {
		return Blob{}, ErrMediaKind
	}
	v := &mp4{data: slices.Clone(raw)}
	v.walk(0, len(raw), "")
	if !v.movie {
		return Blob{}, fmt.Errorf("%w: an MP4 without a movie", ErrMediaKind)
	}
	return Blob{Bytes: v.data, MimeType: "video/mp4", Width: v.width, Height: v.height}, nil
}

// mp4 walks the boxes of an ISO base media file (ISO/IEC 14496-12).
type mp4 struct {
	data          []byte
	boxes         int
	movie         bool
	width, height int
}

func (v *mp4) walk(from, to int, parent string) {
	for from+8 <= to && v.boxes < maxBoxes {
		v.boxes++
		size, head := int(binary.BigEndian.Uint32(v.data[from:])), 8
		if size == 1 && from+16 <= to {
			size, head = int(binary.BigEndian.Uint64(v.data[from+8:])), 16
		}
		if size == 0 {
			size = to - from
		}
		if size < head || size > to-from {
			return
		}
		v.box(string(v.data[from+4:from+8]), parent, from, from+head, from+size)
		from += size
	}
}

func (v *mp4) box(name, parent string, at, body, end int) {
	switch name {
	case "moov":
		v.movie = true
		v.walk(body, end, name)
	case "trak":
		if parent == "moov" {
			v.walk(body, end, name)
		}
	case "tkhd":
		v.track(v.data[body:end])
	case "udta", "meta", "uuid":
		copy(v.data[at+4:], "free")
		clear(v.data[body:end])
	}
}

// track reads width and height, 16.16 fixed point, at the end of the header, and turns them if the matrix does.
func (v *mp4) track(b []byte) {
	if len(b) < 84 {
		return
	}
	tail := b[len(b)-44:] // matrix of 9, width, height
	w, h := int(binary.BigEndian.Uint32(tail[36:])>>16), int(binary.BigEndian.Uint32(tail[40:])>>16)
	if binary.BigEndian.Uint32(tail) == 0 && binary.BigEndian.Uint32(tail[4:]) != 0 {
		w, h = h, w
	}
	if w > v.width && h > 0 {
		v.width, v.height = w, h
	}
}
