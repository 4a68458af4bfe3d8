# shellcheck shell=bash
# Certificates of one cluster. Three authorities, since each is a way in of its own: clients of the API server, the aggregation layer
# (whoever it signs may claim to be any user), and etcd (which holds every Secret).

PKI_DAYS=3650

# pki_authority FOLDER NAME
pki_authority() {
  [ -f "$1/$2.crt" ] && return
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$PKI_DAYS" -subj "/CN=$2" \
    -keyout "$1/$2.key" -out "$1/$2.crt.new" 2>/dev/null || die "openssl cannot make the authority $2 in $1"
  mv "$1/$2.crt.new" "$1/$2.crt"
}

# pki_certificate FOLDER AUTHORITY NAME SUBJECT [ALTERNATIVE NAMES]: for servers and clients alike.
pki_certificate() {
  local folder=$1 authority=$2 name=$3 subject=$4 names=${5:-}
  [ -f "$folder/$name.crt" ] && return
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" -keyout "$folder/$name.key" 2>/dev/null |
    openssl x509 -req -CA "$folder/$authority.crt" -CAkey "$folder/$authority.key" -set_serial "0x$(openssl rand -hex 16)" \
      -days "$PKI_DAYS" -out "$folder/$name.crt.new" -extfile <(
        printf 'extendedKeyUsage=serverAuth,clientAuth\n'
        [ -z "$names" ] || printf 'subjectAltName=%s\n' "$names"
      ) 2>/dev/null || die "openssl cannot make the certificate $name in $folder"
  mv "$folder/$name.crt.new" "$folder/$name.crt"
}

# pki_service_account_keys FOLDER: RSA, as the issuer's key set must be readable by every client of service account tokens.
pki_service_account_keys() {
  [ -f "$1/sa.pub" ] && return
  openssl genrsa -out "$1/sa.key" 2048 2>/dev/null
  openssl rsa -in "$1/sa.key" -pubout -out "$1/sa.pub.new" 2>/dev/null
  mv "$1/sa.pub.new" "$1/sa.pub"
}

# pki_kubeconfig FOLDER NAME SERVER FILE: a kubeconfig with the certificate NAME inside.
pki_kubeconfig() {
  (
    umask 077
    cat >"$4.new" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- name: aether-vault
  cluster:
    server: $3
    certificate-authority-data: $(base64 -w0 <"$1/ca.crt")
users:
- name: $2
  user:
    client-certificate-data: $(base64 -w0 <"$1/$2.crt")
    client-key-data: $(base64 -w0 <"$1/$2.key")
contexts:
- name: aether-vault
  context: {cluster: aether-vault, user: $2}
current-context: aether-vault
KUBECONFIG
  )
  mv "$4.new" "$4"
}
