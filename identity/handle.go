package identity

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"golang.org/x/net/idna"
)

// How an address of the fediverse becomes a handle, and back. user@host is user.host.<zone>. The host is literal (a port
// becomes a last label "port--N"). The user is one label: a-z and 0-9 stand for themselves, "-" stands for "_" between
// letters, and all else is an escape "--" with a letter:
//
//	--u _   --h -   --d .   --t ~   --p +   --x<hex>g any other character   --z drop what stands before
//
// Names in other scripts are an IDN label ("xn--") where that is reversible. What fits no label or no name is cut and
// gets "--y" with a hash; only the table of accounts resolves those, and likewise the "--n<number>" of a collision.
// Case is not kept: WebFinger and every server of weight treat user names as equal in any case.

// ErrHashed says that a handle does not contain its address; the table of accounts knows it.
var ErrHashed = errors.New("the handle holds a hash, not an address")

const (
	maxLabel  = 63
	maxHandle = 253
	portLabel = "port--"
)

// escaped are the characters with a letter of their own; escapeCodes are these, in the same order.
const (
	escaped     = "_-.~+"
	escapeCodes = "uhdtp"
)

// HandleFor gives the handle of user@host in the zone. It is a pure function; distinct addresses (but for case) get
// distinct handles.
func HandleFor(user, host, zone string) (syntax.Handle, error) {
	user, host, zone = fold(user), strings.Trim(fold(host), "."), strings.Trim(fold(zone), ".")
	if user == "" || host == "" || zone == "" || len(user) > 2048 || len(host) > 2048 {
		return "", fmt.Errorf("no handle for an address with %d and %d characters", len(user), len(host))
	}
	label := encodeUser(user)
	labels, hostOK := encodeHost(host)
	if hostOK && len(label) <= maxLabel {
		h := label + "." + labels + "." + zone
		if len(h) <= maxHandle {
			return parseOwn(h)
		}
	}
	sum := sha256.Sum256([]byte(user + "@" + host))
	hash := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))[:26]
	short := hashPrefix(user) + "--y" + hash
	if h := short + "." + labels + "." + zone; hostOK && len(h) <= maxHandle {
		return parseOwn(h)
	}
	return parseOwn(short + "." + zone)
}

// Variant is the n-th alternative (n >= 2) of a handle that is taken by a different account.
func Variant(h syntax.Handle, n int) (syntax.Handle, error) {
	label, rest, _ := strings.Cut(h.String(), ".")
	suffix := "--n" + strconv.Itoa(n)
	if n < 2 || len(label)+len(suffix) > maxLabel || len(h)+len(suffix) > maxHandle {
		// A hashed label leaves room; this one is cut, and the table knows it as it knows all variants.
		keep := min(len(label), maxLabel-len(suffix), len(label)-(len(h)+len(suffix)-maxHandle))
		if n < 2 || keep < 1 {
			return "", fmt.Errorf("no variant %d of this handle", n)
		}
		label = strings.TrimRight(label[:keep], "-")
	}
	return parseOwn(label + suffix + "." + rest)
}

// AcctFor gives back user@host, in lower case. It is ErrHashed for handles that only the table resolves, and another
// error for names that HandleFor never makes.
func AcctFor(h syntax.Handle, zone string) (string, error) {
	name := h.Normalize().String()
	inner, ok := strings.CutSuffix(name, "."+strings.Trim(fold(zone), "."))
	if !ok {
		return "", errors.New("the handle is not in the zone")
	}
	label, labels, ok := strings.Cut(inner, ".")
	if !ok || isHashed(label) {
		return "", ErrHashed
	}
	user, err := decodeUser(label)
	if err != nil {
		return "", err
	}
	host, err := decodeHost(labels)
	if err != nil {
		return "", err
	}
	again, err := HandleFor(user, host, zone)
	if err != nil || again.String() != name {
		return "", errors.New("the handle is none of ours")
	}
	return user + "@" + host, nil
}

// fold lowers ASCII and, by the rules of the language-neutral Unicode tables, all other letters.
func fold(s string) string { return strings.ToLower(strings.ToValidUTF8(s, "\uFFFD")) }

func parseOwn(s string) (syntax.Handle, error) {
	h, err := syntax.ParseHandle(s)
	if err != nil {
		return "", fmt.Errorf("making a handle: %w", err)
	}
	return h, nil
}

func isHashed(label string) bool {
	i := strings.LastIndex(label, "--")
	return i >= 0 && i+2 < len(label) && (label[i+2] == 'y' || label[i+2] == 'n')
}

func plain(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' }

func encodeUser(user string) string {
	if label, ok := idnLabel(user); ok {
		return label
	}
	var b strings.Builder
	rs := []rune(user)
	for i, r := range rs {
		code := strings.IndexRune(escaped, r)
		switch {
		case plain(r):
			b.WriteRune(r)
		case r == '_' && i > 0 && i+1 < len(rs) && plain(rs[i+1]):
			b.WriteByte('-')
		case code >= 0:
			b.WriteString("--" + escapeCodes[code:code+1])
		default:
			b.WriteString("--x" + strconv.FormatInt(int64(r), 16) + "g")
		}
	}
	// A label may not begin with a hyphen, and "xn--" is kept for real IDN labels.
	if out := b.String(); out[0] != '-' && !strings.HasPrefix(out, "xn--") {
		return out
	}
	return "x--z" + b.String()
}

// idnLabel encodes a name of another script if that gives back the very same name.
func idnLabel(user string) (string, bool) {
	ascii := true
	for _, r := range user {
		if r >= utf8.RuneSelf {
			ascii = false
		} else if !plain(r) {
			return "", false
		}
	}
	if ascii {
		return "", false
	}
	label, err := idna.Lookup.ToASCII(user)
	if err != nil || !strings.HasPrefix(label, "xn--") || strings.Contains(label, ".") {
		return "", false
	}
	back, err := idna.Lookup.ToUnicode(label)
	return label, err == nil && back == user
}

func decodeUser(label string) (string, error) {
	if strings.HasPrefix(label, "xn--") {
		user, err := idna.Lookup.ToUnicode(label)
		if err != nil {
			return "", errors.New("the handle's first label is no IDN label")
		}
		return user, nil
	}
	var out []rune
	for s := label; s != ""; {
		switch {
		case !strings.HasPrefix(s, "-"):
			out, s = append(out, rune(s[0])), s[1:]
		case !strings.HasPrefix(s, "--"):
			out, s = append(out, '_'), s[1:]
		case strings.HasPrefix(s, "--z"):
			out, s = out[:0], s[3:]
		default:
			r, rest, err := decodeEscape(s[2:])
			if err != nil {
				return "", err
			}
			out, s = append(out, r), rest
		}
	}
	return string(out), nil
}

func decodeEscape(s string) (rune, string, error) {
	if s != "" {
		if code := strings.IndexByte(escapeCodes, s[0]); code >= 0 {
			return rune(escaped[code]), s[1:], nil
		}
	}
	hex, rest, ok := strings.Cut(strings.TrimPrefix(s, "x"), "g")
	n, err := strconv.ParseInt(hex, 16, 32)
	if !ok || err != nil || !strings.HasPrefix(s, "x") {
		return 0, "", errors.New("the handle has an escape of nobody's")
	}
	return rune(n), rest, nil
}

// encodeHost gives the host's labels; false when they are no names that a handle may hold.
func encodeHost(host string) (string, bool) {
	name, port, hasPort := strings.Cut(host, ":")
	ascii, err := idna.ToASCII(name)
	if err != nil || ascii == "" {
		return "", false
	}
	for _, l := range strings.Split(ascii, ".") {
		if !isLDH(l) || strings.HasPrefix(l, portLabel) {
			return "", false
		}
	}
	if !hasPort {
		return ascii, true
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", false
	}
	return ascii + "." + portLabel + port, true
}

func decodeHost(labels string) (string, error) {
	port := ""
	if i := strings.LastIndex(labels, "."+portLabel); i >= 0 {
		labels, port = labels[:i], ":"+labels[i+1+len(portLabel):]
	}
	if labels == "" {
		return "", errors.New("the handle has no host")
	}
	return labels + port, nil
}

func isLDH(label string) bool {
	if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, r := range label {
		if !plain(r) && r != '-' {
			return false
		}
	}
	return true
}

// hashPrefix keeps a few letters for people to know the name by.
func hashPrefix(user string) string {
	var b strings.Builder
	for _, r := range user {
		if plain(r) && b.Len() < 20 {
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 || b.String() == "xn" {
		return "x"
	}
	return b.String()
}
