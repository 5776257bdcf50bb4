package translate

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"
)

const tidAlphabet = "234567abcdefghijklmnopqrstuvwxyz"

// recordTID is the deterministic record key of a source: a TID (atproto.com/specs/tid) whose seconds are those of the
// publication, so that records sort by time, and whose other 30 bits are a hash of the source id and the account's
// incarnation. The same source gives the same key at any time. Parts of a thread count up from it.
func recordTID(source string, published time.Time, incarnation int64, part int) string {
	return formatTID(tidOf(source, published, incarnation) + uint64(part)<<10)
}

// The years from which a publication date is taken into the key; other dates are nonsense or cannot be told apart from
// a clock that is wrong, and the hash alone makes the key.
const minTIDYear, maxTIDYear = 2000, 2099

func tidOf(source string, published time.Time, incarnation int64) uint64 {
	if incarnation > 1 {
		source += "\x00" + strconv.FormatInt(incarnation, 10)
	}
	sum := sha256.Sum256([]byte(source))
	h := binary.BigEndian.Uint64(sum[:8])
	seconds := published.Unix()
	if y := published.Year(); published.IsZero() || y < minTIDYear || y > maxTIDYear {
		// A year of the bridge's past, by hash.
		seconds = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix() + int64(binary.BigEndian.Uint64(sum[8:16])%(365*86400))
	}
	// 989,000 leaves room for the parts of a thread within the second.
	micros := uint64(seconds)*1_000_000 + h%989_000
	return micros<<10 | (h>>40)&0x3ff
}

func formatTID(v uint64) string {
	var b [13]byte
	for i := 12; i >= 0; i-- {
		b[i] = tidAlphabet[v&31]
		v >>= 5
	}
	return string(b[:])
}

// parseTID reads a TID; false if s is none.
func parseTID(s string) (uint64, bool) {
	if len(s) != 13 || s[0] > 'j' {
		return 0, false
	}
	var v uint64
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '2' && c <= '7':
			c -= '2'
		case c >= 'a' && c <= 'z':
			c -= 'a' - 6
		default:
			return 0, false
		}
		v = v<<5 | uint64(c)
	}
	return v, true
}

// partKey is the key of a later part of a thread whose first part has key first.
func partKey(first string, part int) string {
	if v, ok := parseTID(first); ok {
		return formatTID(v + uint64(part)<<10)
	}
	return recordTID(first+"#"+strconv.Itoa(part), time.Time{}, 1, 0)
}
