#!/bin/sh
# tls_pki.sh FOLDER: makes a CA and certificates of all sorts for the specs.
# NAME.pem has the chain, leaf first, NAME.key the key.
set -e
mkdir -p "$1"
cd "$1"
exec 2>log

cat >ca.cnf <<'END'
[ca]
default_ca = test
[test]
dir = .
database = index.txt
unique_subject = no
default_md = sha256
policy = anything
copy_extensions = copy
rand_serial = yes
email_in_dn = no
[anything]
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[middle]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[both]
basicConstraints = CA:false
extendedKeyUsage = serverAuth,clientAuth
[server]
basicConstraints = CA:false
extendedKeyUsage = serverAuth
[client]
basicConstraints = CA:false
extendedKeyUsage = clientAuth
[narrow]
basicConstraints = critical,CA:true,pathlen:0
nameConstraints = critical,permitted;DNS:allowed.example
[hidden]
# DNS:victim.example, and a byte behind the SEQUENCE
subjectAltName = DER:30:10:82:0e:76:69:63:74:69:6d:2e:65:78:61:6d:70:6c:65:00
END
: >index.txt
mkdir -p issued hashed
past=20200101000000Z
future=20990101000000Z

ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
rsa() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1.key"; }
ed() { openssl genpkey -algorithm ED25519 -out "$1.key"; }

# request NAME CN
request() { openssl req -new -config ca.cnf -key "$1.key" -subj "/CN=$2" -addext "subjectAltName=DNS:$2" -out "$1.csr"; }

# sign NAME CA EXTENSIONS [START END]
sign() {
	openssl ca -batch -notext -config ca.cnf -cert "$2.crt" -keyfile "$2.key" -extensions "$3" \
		-startdate "${4:-$past}" -enddate "${5:-$future}" -outdir issued -in "$1.csr" -out "$1.crt"
}

# leaf NAME KIND CN CA EXTENSIONS [START END]
leaf() {
	$2 "$1"
	request "$1" "$3"
	sign "$1" "$4" "$5" "$6" "$7"
	cp "$1.crt" "$1.pem"
}

for root in ca stranger; do
	ec $root
	openssl req -new -config ca.cnf -key $root.key -subj "/CN=$root" -out $root.csr
	openssl ca -batch -notext -selfsign -config ca.cnf -keyfile $root.key -extensions root \
		-startdate $past -enddate $future -outdir issued -in $root.csr -out $root.crt
	cp $root.crt $root.pem
done
ec middle
openssl req -new -config ca.cnf -key middle.key -subj "/CN=middle" -out middle.csr
sign middle ca middle

leaf rsa rsa a.example ca both
leaf ec ec a.example ca both
leaf ed ed a.example ca both
leaf b ec b.example ca both
leaf other ec other.example ca both
leaf expired ec a.example ca both $past 20210101000000Z
leaf notyet ec a.example ca both 20980101000000Z $future
leaf untrusted ec a.example stranger both
cat untrusted.crt stranger.crt >untrusted-chain.pem
cp untrusted.key untrusted-chain.key
leaf short ec a.example middle both
leaf long ec a.example middle both
cat long.crt middle.crt >long.pem
leaf client ec client.example ca both
leaf clientrsa rsa client.example ca both
leaf clientonly ec client.example ca client
leaf serveronly ec a.example ca server
leaf clientlong ec client.example middle both
cat clientlong.crt middle.crt >clientlong.pem
ec narrow
openssl req -new -config ca.cnf -key narrow.key -subj "/CN=narrow" -out narrow.csr
sign narrow ca narrow
ec hidden
openssl req -new -config ca.cnf -key hidden.key -subj "/CN=www.allowed.example" -out hidden.csr
sign hidden narrow hidden
cat hidden.crt narrow.crt >hidden.pem
for self in self clientself; do
	ec $self
	openssl req -x509 -config ca.cnf -key $self.key -subj "/CN=$self.example" -days 3650 -out $self.pem
done

openssl rsa -aes128 -passout pass:secret -traditional -in rsa.key -out rsa-old.key
openssl pkcs8 -topk8 -v2 aes256 -passout pass:secret -in ec.key -out ec-locked.key
echo rubbish >rubbish.pem
cp ca.pem hashed/
openssl rehash hashed
