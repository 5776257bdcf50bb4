package store

import "time"

// fromMicros is the time of a column; 0 is no time.
func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// strings reads a column of text.
func (tx *Tx) strings(query string, args ...any) ([]string, error) {
	var out []string
	err := tx.each(query, args, func(scan func(...any) error) error {
		var s string
		err := scan(&s)
		out = append(out, s)
		return err
	})
	return out, err
}
