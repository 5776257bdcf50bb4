package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestUpdateIsSeenByViews(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		must(t, db, func(tx *Tx) error { return put(tx, "a", "1") })
		if v := look(t, db, "a"); v != "1" {
			t.Errorf("a is %q", v)
		}
	})
}

func TestUpdatesSurviveReopening(t *testing.T) {
	eachPlace(t, func(t *testing.T, e engine) {
		db := e.open(t)
		must(t, db, func(tx *Tx) error { return put(tx, "a", "1") })
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("an update after Close gave %v", err)
		}
		if v := look(t, e.open(t), "a"); v != "1" {
			t.Errorf("a is %q after reopening", v)
		}
	})
}

// TestErrorsUndoOnlyTheirOwn makes many updates share batches while some of them fail in every way there is.
func TestErrorsUndoOnlyTheirOwn(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		refuse := errors.New("no")
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				name := fmt.Sprint("k", i)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := db.Update(ctx, func(tx *Tx) error {
					if err := put(tx, name, "1"); err != nil {
						return err
					}
					switch i % 5 {
					case 1:
						return refuse
					case 2:
						panic("boom")
					case 3: // a statement that fails breaks a PostgreSQL transaction up to the savepoint
						_, err := tx.exec("INSERT INTO setting (name) VALUES (?)", "x")
						return err
					case 4:
						runtime.Goexit()
					}
					return nil
				})
				if (err == nil) != (i%5 == 0) {
					t.Errorf("update %d gave %v", i, err)
				}
				if i%5 == 1 && !errors.Is(err, refuse) {
					t.Errorf("update %d gave %v, want its own error", i, err)
				}
				if i%5 == 2 && !strings.Contains(err.Error(), "boom") {
					t.Errorf("update %d gave %v, want the panic", i, err)
				}
			})
		}
		wg.Wait()
		for i := range 200 {
			want := ""
			if i%5 == 0 {
				want = "1"
			}
			if v := look(t, db, fmt.Sprint("k", i)); v != want {
				t.Errorf("k%d is %q, want %q", i, v, want)
			}
		}
	})
}

func TestCancelledUpdateDoesNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := db.Update(ctx, func(tx *Tx) error { return put(tx, "a", "1") }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if v := look(t, db, "a"); v != "" {
			t.Errorf("a is %q", v)
		}
	})
}

func TestAfterCommitRunsOnlyAfterACommit(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		ran := make(chan string, 2)
		_ = db.Update(t.Context(), func(tx *Tx) error { tx.AfterCommit(func() { ran <- "undone" }); return errors.New("no") })
		must(t, db, func(tx *Tx) error {
			tx.AfterCommit(func() { ran <- look(t, db, "a") })
			return put(tx, "a", "1")
		})
		if got := <-ran; got != "1" {
			t.Errorf("the first hook to run saw %q, want the committed 1", got)
		}
	})
}

func TestAPanickingHookHarmsNobody(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		must(t, db, func(tx *Tx) error { tx.AfterCommit(func() { panic("boom") }); return put(tx, "a", "1") })
		must(t, db, func(tx *Tx) error { return put(tx, "a", "2") })
	})
}

// TestWritersAreSerial reads and writes a counter from two pools at once: on PostgreSQL they are like two processes.
func TestWritersAreSerial(t *testing.T) {
	eachPlace(t, func(t *testing.T, e engine) {
		pools := []*DB{e.open(t), e.open(t)}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 25 {
					err := pools[i%2].Update(t.Context(), func(tx *Tx) error {
						var n int64
						if _, err := tx.get("SELECT value FROM counter WHERE name = ?", []any{"n"}, &n); err != nil {
							return err
						}
						_, err := tx.exec("INSERT INTO counter (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", "n", n+1)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		must(t, pools[0], func(tx *Tx) error {
			if n, err := tx.next("n", 0); n != 200 || err != nil {
				t.Errorf("the counter is %d (%v), want 200", n, err)
			}
			return nil
		})
	})
}

// TestNumbersAppearInOrder holds what every cursor relies on: no reader ever sees a number and, later, a smaller one.
func TestNumbersAppearInOrder(t *testing.T) {
	eachPlace(t, func(t *testing.T, e engine) {
		pools := []*DB{e.open(t), e.open(t)}
		stop := make(chan struct{})
		var writers, reader sync.WaitGroup
		for i := range 6 {
			writers.Go(func() {
				for j := range 40 {
					err := pools[i%2].Update(t.Context(), func(tx *Tx) error {
						n, err := tx.next("late", 1)
						if err != nil {
							return err
						}
						_, err = tx.exec("INSERT INTO seen (id, at) VALUES (?, ?)", fmt.Sprintf("%d-%d", i, j), n)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		var seen []int64
		reader.Go(func() {
			cursor, last := int64(0), false
			for {
				err := pools[1].View(t.Context(), func(tx *Tx) error {
					return tx.each("SELECT at FROM seen WHERE at > ? ORDER BY at", []any{cursor}, func(scan func(...any) error) error {
						err := scan(&cursor)
						seen = append(seen, cursor)
						return err
					})
				})
				if err != nil {
					t.Error(err)
				}
				if last || t.Failed() {
					return
				}
				select {
				case <-stop:
					last = true // and look once more
				default:
				}
			}
		})
		writers.Wait()
		close(stop)
		reader.Wait()
		if len(seen) != 240 {
			t.Errorf("a reader with a cursor saw %d of 240 rows: some appeared behind it", len(seen))
		}
	})
}

func TestViewIsOneMoment(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		must(t, db, func(tx *Tx) error { return errors.Join(put(tx, "a", "1"), put(tx, "b", "1")) })
		err := db.View(t.Context(), func(tx *Tx) error {
			var a, b []byte
			if _, err := tx.get("SELECT value FROM setting WHERE name = 'a'", nil, &a); err != nil {
				return err
			}
			written := make(chan struct{})
			go func() {
				defer close(written)
				_ = db.Update(context.Background(), func(tx *Tx) error { return errors.Join(put(tx, "a", "2"), put(tx, "b", "2")) })
			}()
			soon(t, "an update beside a view", written)
			_, err := tx.get("SELECT value FROM setting WHERE name = 'b'", nil, &b)
			if string(a) != string(b) {
				t.Errorf("one view saw a=%s and b=%s", a, b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestViewCannotWrite(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		if err := db.View(t.Context(), func(tx *Tx) error { return put(tx, "a", "1") }); err == nil {
			t.Error("a view wrote")
		}
	})
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		long := strings.Repeat("ü☕", 5000)
		for i, text := range []string{"", "plain", "12", "0x1f", "1e5", long, "quote ' \" \\ %"} {
			id := fmt.Sprint(i)
			must(t, db, func(tx *Tx) error {
				_, err := tx.exec("INSERT INTO dead_job (id, kind, lane, subject, bucket, epoch, priority, dedup, earliest, due, payload, attempt, deferred, reason, detail, created, died) VALUES (?, ?, ?, '', 0, 0, 0, '', 0, ?, ?, 0, 0, '', '', 0, 0)",
					i, text, id, int64(1)<<62, []byte(text+"\x00\xff"))
				return err
			})
			err := db.View(t.Context(), func(tx *Tx) error {
				var kind string
				var due int64
				var payload []byte
				_, err := tx.get("SELECT kind, due, payload FROM dead_job WHERE id = ?", []any{i}, &kind, &due, &payload)
				if kind != text || due != 1<<62 || string(payload) != text+"\x00\xff" {
					t.Errorf("%.20q came back as %.20q, %d, %.20q", text, kind, due, payload)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}
