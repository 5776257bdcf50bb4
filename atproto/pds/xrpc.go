package pds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/labstack/echo/v4"
)

// xrpcError is what an XRPC call answers when it fails.
type xrpcError struct {
	status  int
	name    string
	message string
}

func (e *xrpcError) Error() string { return e.name + ": " + e.message }

func invalid(format string, args ...any) error {
	return &xrpcError{http.StatusBadRequest, "InvalidRequest", fmt.Sprintf(format, args...)}
}

func failure(name, format string, args ...any) error {
	return &xrpcError{http.StatusBadRequest, name, fmt.Sprintf(format, args...)}
}

// Register adds the routes of the host.
func (h *Host) Register(e *echo.Echo) {
	h.registerSync(e)
	h.registerRepo(e)
	h.registerMigration(e)
	e.GET("/.well-known/atproto-did", h.call(1, h.wellKnownDID))
	e.GET("/xrpc/_health", h.call(0, func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"version": h.o.Version})
	}))
	e.OPTIONS("/xrpc/*", h.call(0, func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }))
	e.Any("/xrpc/*", h.call(1, func(c echo.Context) error {
		if _, err := syntax.ParseNSID(strings.TrimPrefix(c.Request().URL.Path, "/xrpc/")); err != nil {
			return failure("InvalidRequest", "not the name of a method")
		}
		return &xrpcError{http.StatusNotImplemented, "MethodNotImplemented", "Method Not Implemented"}
	}))
}

func (h *Host) get(e *echo.Echo, nsid string, weight int, f echo.HandlerFunc) {
	path := "/xrpc/" + nsid
	e.GET(path, h.call(weight, f))
	e.HEAD(path, h.call(weight, f))
	h.only(e, path, http.MethodPost)
}

// only answers for the wrong verb.
func (h *Host) only(e *echo.Echo, path, wrong string) {
	e.Add(wrong, path, h.call(1, func(echo.Context) error {
		return &xrpcError{http.StatusMethodNotAllowed, "InvalidRequest", "Incorrect HTTP method"}
	}))
}

// call wraps a handler: CORS, the rate limit, errors as JSON. Weight 0 is not counted.
func (h *Host) call(weight int, f echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		head := c.Response().Header()
		head.Set("Access-Control-Allow-Origin", "*")
		head.Set("Access-Control-Allow-Headers", "atproto-accept-labelers, atproto-proxy, authorization, content-type")
		head.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS")
		if weight > 0 {
			left, reset, ok := h.limit.take(c.RealIP(), weight, h.now())
			head.Set("RateLimit-Limit", strconv.Itoa(h.o.RateLimit))
			head.Set("RateLimit-Remaining", strconv.Itoa(left))
			head.Set("RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
			head.Set("RateLimit-Policy", strconv.Itoa(h.o.RateLimit)+";w=300")
			if !ok {
				head.Set("Retry-After", strconv.Itoa(int(reset.Sub(h.now()).Seconds())+1))
				return h.answer(c, &xrpcError{http.StatusTooManyRequests, "RateLimitExceeded", "Rate Limit Exceeded"})
			}
		}
		return h.answer(c, f(c))
	}
}

func (h *Host) answer(c echo.Context, err error) error {
	if err == nil {
		return nil
	}
	var x *xrpcError
	switch {
	case errors.As(err, &x):
	case errors.Is(err, ErrNoRepo):
		x = &xrpcError{http.StatusBadRequest, "RepoNotFound", "Could not find repo"}
	case errors.Is(err, ErrInvalidRecord):
		x = &xrpcError{http.StatusBadRequest, "InvalidRecord", err.Error()}
	case errors.Is(err, ErrNoBlob):
		x = &xrpcError{http.StatusBadRequest, "BlobNotFound", "A record refers to a blob that was not uploaded"}
	case errors.Is(err, ErrTooLarge):
		x = &xrpcError{http.StatusRequestEntityTooLarge, "PayloadTooLarge", "Too large"}
	case errors.Is(err, consent.ErrNoPermit):
		x = &xrpcError{http.StatusForbidden, "Forbidden", "The person has not agreed to this"}
	case errors.Is(err, context.Canceled):
		return nil
	default:
		h.log.Error("xrpc call failed", "method", c.Path(), "error", err)
		x = &xrpcError{http.StatusInternalServerError, "InternalServerError", "Internal Server Error"}
	}
	if c.Response().Committed {
		return nil // the stream breaks off, which the client's CAR reader or length check sees
	}
	return c.JSON(x.status, map[string]string{"error": x.name, "message": x.message})
}

// Parameters.

func didParam(c echo.Context, name string) (syntax.DID, error) {
	s := c.QueryParam(name)
	if s == "" {
		return "", invalid("Params must have the property %q", name)
	}
	did, err := syntax.ParseDID(s)
	if err != nil {
		return "", invalid("%s must be a valid did", name)
	}
	return did, nil
}

func limitParam(c echo.Context, def, max int) (int, error) {
	s := c.QueryParam("limit")
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > max {
		return 0, invalid("limit must be an integer from 1 to %d", max)
	}
	return n, nil
}

func collectionParam(c echo.Context) (syntax.NSID, error) {
	n, err := syntax.ParseNSID(c.QueryParam("collection"))
	if err != nil {
		return "", invalid("collection must be a valid nsid")
	}
	return n, nil
}

func idCursor(c echo.Context) (int64, error) {
	s := c.QueryParam("cursor")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("cursor is not one of ours")
	}
	return n, nil
}

// available returns a repo that may be read, or says in the protocol's words why not.
func available(tx Tx, did syntax.DID) (*Repo, error) {
	r, err := tx.Repo(did)
	if errors.Is(err, ErrNoRepo) {
		return nil, failure("RepoNotFound", "Could not find repo for DID: %s", did)
	}
	if err != nil {
		return nil, err
	}
	switch r.Status {
	case StatusActive:
		return r, nil
	case StatusDeactivated:
		return nil, failure("RepoDeactivated", "Repo has been deactivated: %s", did)
	case StatusSuspended:
		return nil, failure("RepoSuspended", "Repo has been suspended: %s", did)
	case StatusTakendown:
		return nil, failure("RepoTakendown", "Repo has been taken down: %s", did)
	}
	return nil, failure("RepoNotFound", "Could not find repo for DID: %s", did)
}

// view runs f over the repo named by the parameter, if it may be read.
func (h *Host) view(c echo.Context, param string, f func(tx Tx, r *Repo) error) error {
	did, err := didParam(c, param)
	if err != nil {
		return err
	}
	return h.o.Store.View(c.Request().Context(), func(tx Tx) error {
		r, err := available(tx, did)
		if err != nil {
			return err
		}
		return f(tx, r)
	})
}

func (h *Host) wellKnownDID(c echo.Context) error {
	name, _, _ := strings.Cut(c.Request().Host, ":")
	handle, err := syntax.ParseHandle(name)
	if err != nil {
		return c.String(http.StatusNotFound, "User not found\n")
	}
	did, err := h.HandleDID(c.Request().Context(), handle)
	if err != nil {
		return err
	}
	if did == "" {
		return c.String(http.StatusNotFound, "User not found\n")
	}
	return c.String(http.StatusOK, did.String())
}

// readJSON reads a request body of at most max bytes.
func readJSON(c echo.Context, max int64, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, max))
	if err := d.Decode(into); err != nil {
		return invalid("the body is not the JSON that this method takes")
	}
	return nil
}
