package pds

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errImage = errors.New("the image file is damaged")

// stripImage copies a JPEG or PNG without what is not picture, and reads the orientation on the way.
func stripImage(raw []byte, kind string) (clean []byte, orientation int, err error) {
	if kind == "png" {
		return stripPNG(raw)
	}
	return stripJPEG(raw)
}

// JPEG markers (ITU T.81, annex B).
const (
	markSOI  = 0xd8
	markEOI  = 0xd9
	markSOS  = 0xda
	markCOM  = 0xfe
	markAPP0 = 0xe0
	markAPP1 = 0xe1
	markAPPE = 0xee
	markAPPF = 0xef
)

// stripJPEG keeps the picture, the JFIF and Adobe headers and the colour profile. Everything after the end of the picture
// goes too: phones put videos and second pictures there.
func stripJPEG(raw []byte) ([]byte, int, error) {
	out := make([]byte, 0, len(raw))
	out = append(out, 0xff, markSOI)
	orientation := 1
	for i := 2; ; {
		if i+4 > len(raw) || raw[i] != 0xff {
			return nil, 0, errImage
		}
		m := raw[i+1]
		if m == 0xff {
			i++ // fill byte
			continue
		}
		if m == markEOI {
			return append(out, 0xff, markEOI), orientation, nil
		}
		n := int(binary.BigEndian.Uint16(raw[i+2:]))
		if n < 2 || i+2+n > len(raw) {
			return nil, 0, errImage
		}
		seg := raw[i : i+2+n]
		if m == markAPP1 && bytes.HasPrefix(seg[4:], []byte("Exif\x00\x00")) {
			orientation = tiffOrientation(seg[10:])
		}
		if keepJPEG(m, seg[4:]) {
			out = append(out, seg...)
		}
		if i += 2 + n; m == markSOS {
			end := entropyEnd(raw, i)
			out, i = append(out, raw[i:end]...), end
			if end+2 > len(raw) {
				// A picture that is cut off is still shown by everything.
				return append(out, 0xff, markEOI), orientation, nil
			}
			if raw[end+1] == markEOI {
				return append(out, 0xff, markEOI), orientation, nil
			}
		}
	}
}

func keepJPEG(m byte, body []byte) bool {
	switch {
	case m == markAPP0:
		return bytes.HasPrefix(body, []byte("JFIF\x00")) && len(body) <= 14 // longer ones hold a thumbnail
	case m == markAPPE:
		return bytes.HasPrefix(body, []byte("Adobe"))
	case m == 0xe2:
		return bytes.HasPrefix(body, []byte("ICC_PROFILE\x00"))
	case m >= markAPP0 && m <= markAPPF, m == markCOM:
		return false
	}
	return true
}

// entropyEnd finds the marker that ends a scan.
func entropyEnd(raw []byte, i int) int {
	for ; i+1 < len(raw); i++ {
		if raw[i] == 0xff && raw[i+1] != 0 && (raw[i+1] < 0xd0 || raw[i+1] > 0xd7) && raw[i+1] != 0xff {
			return i
		}
	}
	return len(raw)
}

func isProgressive(raw []byte) bool {
	for i := 2; i+4 <= len(raw) && raw[i] == 0xff; {
		m := raw[i+1]
		switch {
		case m == 0xff:
			i++
			continue
		case m == 0xc2 || m == 0xc6 || m == 0xca || m == 0xce:
			return true
		case m == markSOS || m == markEOI:
			return false
		}
		i += 2 + int(binary.BigEndian.Uint16(raw[i+2:]))
	}
	return false
}

// tiffOrientation reads tag 0x0112 of the first directory (TIFF 6.0); 1 if there is none.
func tiffOrientation(b []byte) int {
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	switch string(b[:2]) {
	case "II":
		order = binary.LittleEndian
	case "MM":
	default:
		return 1
	}
	at := int(order.Uint32(b[4:]))
	if at < 8 || at+2 > len(b) {
		return 1
	}
	for n := int(order.Uint16(b[at:])); n > 0; n-- {
		e := at + 2 + (n-1)*12
		if e+12 <= len(b) && order.Uint16(b[e:]) == 0x0112 {
			if o := int(order.Uint16(b[e+8:])); o >= 1 && o <= 8 {
				return o
			}
			return 1
		}
	}
	return 1
}

// stripPNG keeps the chunks that make the picture and its colours. Animations (APNG) become their still.
func stripPNG(raw []byte) ([]byte, int, error) {
	out := append(make([]byte, 0, len(raw)), raw[:8]...)
	orientation := 1
	for i := 8; ; {
		if i+12 > len(raw) {
			return nil, 0, errImage
		}
		n := int(binary.BigEndian.Uint32(raw[i:]))
		if n < 0 || n > len(raw) || i+12+n > len(raw) {
			return nil, 0, errImage
		}
		name := string(raw[i+4 : i+8])
		switch name {
		case "IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "sBIT", "bKGD", "pHYs", "cICP":
			out = append(out, raw[i:i+12+n]...)
		case "eXIf":
			orientation = tiffOrientation(raw[i+8 : i+8+n])
		}
		if i += 12 + n; name == "IEND" {
			return out, orientation, nil
		}
	}
}

func webpOrientation(raw []byte) int {
	for i := 12; i+8 <= len(raw); {
		n := int(binary.LittleEndian.Uint32(raw[i+4:]))
		if n < 0 || n > len(raw) || i+8+n > len(raw) {
			return 1
		}
		if string(raw[i:i+4]) == "EXIF" {
			return tiffOrientation(bytes.TrimPrefix(raw[i+8:i+8+n], []byte("Exif\x00\x00")))
		}
		i += 8 + n + n&1
	}
	return 1
}
