package as2

import (
	"strings"
	"time"
)

// layouts are the forms of dates that servers send besides RFC 3339, with and without zone.
func layouts() []string {
	return []string{
		time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700",
		"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05", "2006-01-02", time.RFC1123Z, time.RFC1123, time.RFC850, time.ANSIC,
	}
}

// ParseTime reads a date as servers write it. A date without a zone is taken as UTC. The year is 1 to 9999.
func ParseTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 8 || len(s) > 64 {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return inRange(t)
	}
	s = strings.ToUpper(s)
	if i := strings.IndexByte(s, ','); i > 10 {
		s = s[:i] + "." + s[i+1:] // a decimal comma, as ISO 8601 allows
	}
	for _, l := range layouts() {
		if t, err := time.Parse(l, s); err == nil {
			return inRange(t)
		}
	}
	return time.Time{}, false
}

func inRange(t time.Time) (time.Time, bool) {
	t = t.UTC()
	return t, t.Year() >= 1 && t.Year() <= 9999
}

// Time reads the date under a key.
func (v *Value) Time(key string) (time.Time, bool) {
	return ParseTime(v.Get(key).First().Str())
}

// ParseLocalTime reads a date like ParseTime, but keeps the zone it was written in, for showing it to people.
func ParseLocalTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil && t.Year() >= 1 && t.Year() <= 9999 {
		return t, true
	}
	return ParseTime(s)
}
