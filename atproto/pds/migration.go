package pds

// Migration lets accounts move here and away. It is filled in migrate.go's calls.
type Migration struct{}
