package bridgetest_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// sightings are where one of the needles stands in some bytes: as it is, in any case, percent-encoded, or in base64.
func sightings(data []byte, needles []string) (found []string) {
	low := bytes.ToLower(data)
	decoded := bytes.ToLower(unescape(data))
	for _, n := range needles {
		small := []byte(strings.ToLower(n))
		switch {
		case bytes.Contains(low, small):
			found = append(found, n)
		case bytes.Contains(decoded, small):
			found = append(found, n+" (percent-encoded)")
		case inBase64(data, n):
			found = append(found, n+" (base64)")
		}
	}
	return found
}

// inBase64 looks for the three ways in which base64 may write a text in the middle of others.
func inBase64(data []byte, needle string) bool {
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			coded := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + needle))
			coded = coded[(shift*8+5)/6:]
			if keep := len(coded) - 2; keep > 8 && bytes.Contains(data, []byte(coded[:keep])) {
				return true
			}
		}
	}
	return false
}

// unescape decodes %XX wherever it stands.
func unescape(data []byte) []byte {
	if !bytes.ContainsRune(data, '%') {
		return data
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		if data[i] == '%' && i+2 < len(data) {
			if one, err := url.PathUnescape(string(data[i : i+3])); err == nil {
				out = append(out, one...)
				i += 2
				continue
			}
		}
		out = append(out, data[i])
	}
	return out
}

// openFile opens the bridge's database beside it, for reading.
func (r *rig) openFile() *sql.DB {
	r.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.dir, "data", "footbridge.db")+"?_pragma=busy_timeout(10000)&_pragma=query_only(ON)")
	r.must(err)
	r.t.Cleanup(func() { _ = db.Close() })
	return db
}

// noJobs is an error while anything is to be done at once.
func (r *rig) noJobs(ctx context.Context) error {
	db := r.openFile()
	defer func() { _ = db.Close() }()
	var n int
	var kinds sql.NullString
	err := db.QueryRowContext(ctx, "SELECT COUNT(*), GROUP_CONCAT(kind || ' ' || reason || ' ' || detail, '; ') FROM job WHERE due < ?", r.clock.Now().UnixMicro()+2e6).Scan(&n, &kinds)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%d jobs wait: %s", n, kinds.String)
	}
	return nil
}

// remains searches everything that the bridge keeps: each column of each table, the raw files (free pages too), the log.
func (r *rig) remains(needles []string) (found []string) {
	r.t.Helper()
	found = append(found, r.inTables(needles)...)
	err := filepath.WalkDir(filepath.Join(r.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, n := range sightings([]byte(d.Name()), needles) {
			found = append(found, "name of a file: "+n)
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, n := range sightings(data, needles) {
			found = append(found, "file "+d.Name()+": "+n)
		}
		return err
	})
	r.must(err)
	for _, n := range sightings(r.log.Bytes(), needles) {
		found = append(found, "log: "+n)
	}
	return found
}

// inTables tells which columns hold a needle.
func (r *rig) inTables(needles []string) (found []string) {
	r.t.Helper()
	db := r.openFile()
	defer func() { _ = db.Close() }()
	for _, table := range r.strings(db, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		for _, column := range r.strings(db, "SELECT name FROM pragma_table_info('"+table+"')") {
			rows, err := db.QueryContext(r.t.Context(), `SELECT CAST("`+column+`" AS BLOB) FROM "`+table+`" WHERE "`+column+`" IS NOT NULL`)
			r.must(err)
			for rows.Next() {
				var v []byte
				r.must(rows.Scan(&v))
				for _, n := range sightings(v, needles) {
					found = append(found, fmt.Sprintf("%s.%s: %s in %.300q", table, column, n, v))
				}
			}
			r.must(errors.Join(rows.Err(), rows.Close()))
		}
	}
	return found
}

func (r *rig) strings(db *sql.DB, query string) (out []string) {
	r.t.Helper()
	rows, err := db.QueryContext(r.t.Context(), query)
	r.must(err)
	for rows.Next() {
		var s string
		r.must(rows.Scan(&s))
		out = append(out, s)
	}
	r.must(errors.Join(rows.Err(), rows.Close()))
	return out
}

// pending lists the jobs and dead letters of the moment, for the report of a failure.
func (r *rig) pending() []string {
	r.t.Helper()
	db := r.openFile()
	defer func() { _ = db.Close() }()
	return append(r.strings(db, "SELECT kind || ' due ' || due || ' ' || reason || ' ' || detail || ' ' || substr(CAST(payload AS TEXT), 1, 200) FROM job"),
		r.strings(db, "SELECT 'dead ' || kind || ' ' || reason || ' ' || detail FROM dead_job")...)
}
