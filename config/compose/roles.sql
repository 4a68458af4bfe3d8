-- The two roles, and their database. The passwords are for compose.yaml alone.
CREATE ROLE aether_owner LOGIN PASSWORD 'owner';
CREATE ROLE aether_runtime LOGIN PASSWORD 'runtime';
CREATE DATABASE aether_vault OWNER aether_owner;
REVOKE ALL ON DATABASE aether_vault FROM PUBLIC;
GRANT CONNECT ON DATABASE aether_vault TO aether_runtime;
