package main

// The names that `cases.go` uses, as `cassandra-gocql-driver` has them.

import gocql "github.com/apache/cassandra-gocql-driver/v2"

type (
	Session        = gocql.Session
	Duration       = gocql.Duration
	UUID           = gocql.UUID
	RetryType      = gocql.RetryType
	RetryableQuery = gocql.RetryableQuery
	RequestError   = gocql.RequestError
)

const (
	LoggedBatch   = gocql.LoggedBatch
	UnloggedBatch = gocql.UnloggedBatch
	CounterBatch  = gocql.CounterBatch
	LocalQuorum   = gocql.LocalQuorum
	RetryNextHost = gocql.RetryNextHost
	Rethrow       = gocql.Rethrow
)

var (
	NewCluster           = gocql.NewCluster
	TokenAwareHostPolicy = gocql.TokenAwareHostPolicy
	RoundRobinHostPolicy = gocql.RoundRobinHostPolicy
	UnsetValue           = gocql.UnsetValue
	NamedValue           = gocql.NamedValue
	MustRandomUUID       = gocql.MustRandomUUID
	TimeUUID             = gocql.TimeUUID
)

// It has one connection as good as another.
const knowsShards = false

func holdsAllShards(*Session) bool { return true }

func tableMetadata(session *Session, keyspace, table string) *gocql.TableMetadata {
	metadata, err := session.KeyspaceMetadata(keyspace)
	must(err)
	return metadata.Tables[table]
}
