// SPDX-License-Identifier: Apache-2.0
#include "qf-up/document.h"

#include "tests/unit/up_tools.h"

namespace qf {
namespace {

using test::faults_of;
using test::good_document;
using test::sample_document;
using test::sample_with;

TEST(UpDocument, ReadsEverything) {
  Document document = good_document(sample_document());
  EXPECT_EQ(document.serial, 42U);
  EXPECT_EQ(document.domain, "fabric.example");
  EXPECT_EQ(document.hash.size(), 64U);
  ASSERT_EQ(document.issuers.size(), 2U);
  const IssuerEntry& corp = document.issuers[0];
  EXPECT_EQ(corp.rules.max_token_age, 700U);
  EXPECT_EQ(corp.rules.clock_skew, 30U);
  EXPECT_EQ(corp.rules.user_id_claim, "oid");
  EXPECT_EQ(corp.rules.groups_claim, "roles");
  EXPECT_EQ(corp.rules.group_map.at("eng"), "Developers");
  EXPECT_EQ(corp.rules.required_claims.at("hd"), "\"example.com\"");
  EXPECT_EQ(corp.rules.required_claims.at("level"), "3");
  EXPECT_EQ(corp.rules.required_claims.at("mfa"), "true");
  EXPECT_EQ(corp.rules.email_domains, std::vector<std::string>{"example.com"});
  EXPECT_FALSE(corp.rules.members_all);
  EXPECT_EQ(corp.client.flow, LoginFlow::kDevice);
  EXPECT_EQ(corp.client.client_id, "qufabric-cli");
  EXPECT_EQ(corp.client.scopes, (std::vector<std::string>{"openid", "groups"}));
  EXPECT_FALSE(corp.rules.access_token);
  EXPECT_EQ(document.issuers[1].client.flow, LoginFlow::kMachine);
  EXPECT_TRUE(document.issuers[1].rules.members_all);
  ASSERT_EQ(document.peers.size(), 2U);
  EXPECT_EQ(document.peers[0].record.addresses, (std::vector<std::string>{"100.119.230.104", "fd00::68"}));
  EXPECT_EQ(document.peers[0].record.ssh_host_keys, std::vector<std::string>{test::kHostKey});
  EXPECT_EQ(document.peers[1].record.addresses, std::vector<std::string>{"100.119.4.2"});
  ASSERT_EQ(document.policies.size(), 2U);
  EXPECT_TRUE(document.policies[0].sources[0].is_group);
  EXPECT_FALSE(document.policies[1].sources[1].is_group);
  EXPECT_FALSE(document.policies[1].record.allow);
  EXPECT_EQ(document.policies[1].record.ports[0].first, 20);
  EXPECT_EQ(document.policies[1].record.ports[1].last, 22022);
  EXPECT_EQ(document.user_groups.at("Developers")[0].subject, "auth0|61");
}

TEST(UpDocument, DefaultsAndTheSmallestDocument) {
  Document document = good_document(R"({"format":1,"serial":0,"domain":"f.example"})");
  EXPECT_TRUE(document.peers.empty());
  Document other = good_document(
      R"({"format":1,"serial":1,"domain":"f.example","issuers":[
         {"name":"a","issuer":"http://127.0.0.1:8080","audiences":["x"],"client":{"client_id":"c"}}]})");
  EXPECT_EQ(other.issuers[0].rules.max_token_age, 600U);
  EXPECT_EQ(other.issuers[0].rules.clock_skew, 60U);
  EXPECT_EQ(other.issuers[0].rules.user_id_claim, "sub");
  const LoginRecord& client = other.issuers[0].client;
  EXPECT_EQ(client.flow, LoginFlow::kAuto);
  EXPECT_EQ(client.scopes, std::vector<std::string>{"openid"});
  EXPECT_EQ(client.client_secret, std::nullopt);
  EXPECT_EQ(client.resource, std::nullopt);
  EXPECT_EQ(client.redirect_port, 0U);
  EXPECT_EQ(client.file, "");
  EXPECT_TRUE(client.command.empty());
  EXPECT_FALSE(other.issuers[0].rules.access_token);
}

// The entry of corp's client, with its flow replaced by more.
Document with_client(const std::string& members) {
  return good_document(sample_with(R"("flow": "device")", members));
}

TEST(UpDocument, ABrowserClient) {
  Document document = with_client(R"("flow": "browser", "client_secret": "s&cret", "redirect_port": 65535,
      "resource": "https://fabric.example/api")");
  const LoginRecord& client = document.issuers[0].client;
  EXPECT_EQ(client.flow, LoginFlow::kBrowser);
  EXPECT_EQ(client.client_secret, "s&cret");
  EXPECT_EQ(client.redirect_port, 65535U);
  EXPECT_EQ(client.resource, "https://fabric.example/api");
}

TEST(UpDocument, AFileClient) {
  for (const char* file : {"/var/run/secrets/tokens/ssh", "~/.token"}) {
    const std::string members = R"("flow": "file", "file": ")" + std::string(file) + "\"";
    EXPECT_EQ(with_client(members).issuers[0].client.file, file);
    // no OAuth client, so no id
    auto text = sample_with(R"("client_id": "qufabric-cli", )", "");
    text.replace(text.find(R"("flow": "device")"), 16, members);
    EXPECT_EQ(good_document(text).issuers[0].client.flow, LoginFlow::kFile);
  }
}

TEST(UpDocument, ACommandClient) {
  Document document =
      with_client(R"("flow": "command", "command": ["/usr/bin/get-token", "-a", "-a", "$HOME"])");
  EXPECT_EQ(document.issuers[0].client.flow, LoginFlow::kCommand);
  EXPECT_EQ(document.issuers[0].client.command,
            (std::vector<std::string>{"/usr/bin/get-token", "-a", "-a", "$HOME"}))
      << "an argument may come twice";
}

TEST(UpDocument, ACommandHasSixtyFourArgumentsAtMost) {
  auto command = [](size_t count) {
    std::string text = R"("flow": "command", "command": ["/c")";
    for (size_t i = 1; i < count; ++i) text += R"(, "x")";
    return text + "]";
  };
  EXPECT_EQ(with_client(command(64)).issuers[0].client.command.size(), 64U);
  EXPECT_EQ(faults_of(sample_with(R"("flow": "device")", command(65))),
            std::vector<std::string>{"$.issuers[0].client.command: has more than 64 arguments"});
}

TEST(UpDocument, AnAccessTokenNeedsNoOpenid) {
  auto text = sample_with(R"("token": "id_token")", R"("token": "access_token")");
  EXPECT_TRUE(good_document(text).issuers[0].rules.access_token);
  text.replace(text.find(R"("openid", )"), 10, "");
  EXPECT_EQ(good_document(text).issuers[0].client.scopes, std::vector<std::string>{"groups"});
}

// Nobody fetches anything of an issuer whose keys stand in the document and whose tokens come from elsewhere.
TEST(UpDocument, AnIssuerNobodyFetchesFromNeedsNoAddress) {
  const char* from = R"({ "flow": "machine" })";
  good_document(sample_with(from, R"({ "flow": "file", "file": "/t" })"));
  good_document(sample_with(from, R"({ "flow": "command", "command": ["/c"] })"));
}

TEST(UpDocument, AMachineIssuersKeysHaveNames) {
  auto text = sample_document();
  auto kid = text.find(R"("kid")");
  ASSERT_NE(kid, std::string::npos);
  text.replace(kid, 5, R"("x-k")");
  EXPECT_EQ(faults_of(text), std::vector<std::string>{
                                 "$.issuers[1].jwks: has no key with a \"kid\"; qf-up machine-jwks prints "
                                 "it with its own"});
}

struct BadCase {
  const char* from;
  const char* to;
  const char* fault;
};

void PrintTo(const BadCase& bad, std::ostream* out) {
  *out << bad.fault;
}

class UpBadDocument : public testing::TestWithParam<BadCase> {};

TEST_P(UpBadDocument, IsRefusedWithItsPath) {
  auto faults = faults_of(sample_with(GetParam().from, GetParam().to));
  ASSERT_FALSE(faults.empty());
  EXPECT_EQ(faults[0], GetParam().fault);
  EXPECT_EQ(faults.size(), 1U) << faults[1];
}

INSTANTIATE_TEST_SUITE_P(
    Form, UpBadDocument,
    testing::Values(
        BadCase{"\"format\": 1", "\"format\": 2", "$.format: must be 1"},
        BadCase{"\"format\": 1, ", "", "$.format: missing"},
        BadCase{"\"serial\": 42", "\"serial\": -1",
                "$.serial: must be a whole number from 0 to 9007199254740992"},
        BadCase{"\"serial\": 42", "\"serial\": \"42\"", "$.serial: expected a number, found a string"},
        BadCase{"\"serial\": 42", "\"serial\": 1.5",
                "$.serial: must be a whole number from 0 to 9007199254740992"},
        BadCase{"Fabric.example", "fab ric", "$.domain: \"fab ric\": not a domain name"},
        BadCase{"\"x-note\": \"top\"", "\"note\": \"top\"", "$.note: unknown key"},
        BadCase{"\"x-note\": \"top\"", "\"a b\": \"top\"", "$[\"a b\"]: unknown key"},
        BadCase{"\"x-note\": \"top\"", "\"tests\": {}", "$.tests: expected a list, found an object"},
        BadCase{"\"x-note\": \"top\"", "\"expires\": \"2030-01-01\"",
                "$.expires: \"2030-01-01\" is no moment in UTC such as \"2027-01-31T00:00:00Z\""},
        BadCase{"\"x-note\": \"top\"", "\"serial\": 42", "$.serial: duplicate key \"serial\""},
        BadCase{"\"ssh\": true", "\"ssh\": true, \"ssh\": true", "$.peers[0].ssh: duplicate key \"ssh\""},
        BadCase{"\"ssh\": true", "\"ssh\": \"yes\"",
                "$.peers[0].ssh: expected true or false, found a string"},
        BadCase{"[\"postgres\"]", "null",
                "$.policies[0].authorized_groups.DBAs: expected a list of local users"}));

INSTANTIATE_TEST_SUITE_P(
    Issuers, UpBadDocument,
    testing::Values(
        BadCase{"https://idp.example/\"", "http://idp.example/\"",
                "$.issuers[0].issuer: \"http://idp.example/\" must be https (plain http only to a loopback "
                "address)"},
        BadCase{"https://idp.example/\"", "https://a@idp.example/\"",
                "$.issuers[0].issuer: \"https://a@idp.example/\" must have no user name"},
        BadCase{"https://idp.example/\"", "https://idp.example/?a\"",
                "$.issuers[0].issuer: \"https://idp.example/?a\" must have no query"},
        BadCase{"https://idp.example/\"", "https://idp.example:0/\"",
                "$.issuers[0].issuer: \"https://idp.example:0/\" has a bad port"},
        BadCase{"qufabric-machine:ci", "https://idp.example/",
                "$.issuers[1].issuer: two issuers have the address \"https://idp.example/\""},
        BadCase{
            "qufabric-machine:ci", "no scheme",
            "$.issuers[1].issuer: \"no scheme\" not an address or a name such as \"qufabric-machine:host\""},
        BadCase{"[\"fabric\"]", "[]",
                "$.issuers[1].audiences: must not be empty: a token for somebody else would be accepted"},
        BadCase{"[\"fabric\"]", "[\"fabric\", \"fabric\"]",
                "$.issuers[1].audiences[1]: duplicate \"fabric\""},
        BadCase{"[\"fabric\"]", "[7]", "$.issuers[1].audiences[0]: expected a string, found a number"},
        BadCase{"https://idp.example/jwks", "ftp://x",
                "$.issuers[0].jwks_uri: \"ftp://x\" must be an https address"},
        BadCase{"\"clock_skew\": 30", "\"clock_skew\": 4000",
                "$.issuers[0].clock_skew: must be a whole number of seconds from 0 to 3600"},
        BadCase{"\"max_token_age\": 700", "\"max_token_age\": 0",
                "$.issuers[0].max_token_age: must be a whole number of seconds from 1 to 31622400"},
        BadCase{"\"eng\": \"Developers\"", "\"eng\": \"Devs\"",
                "$.issuers[0].group_map.eng: no user group \"Devs\""},
        BadCase{"\"eng\": \"Developers\"", "\"*\": \"Developers\"",
                "$.issuers[0].group_map[\"*\"]: \"*\" goes with \"*\" only: every name as it is"},
        BadCase{"\"members\": \"all\"", "\"members\": \"some\"",
                "$.issuers[1].members: must be one of \"listed\", \"all\", not \"some\""},
        BadCase{"\"level\": 3", "\"level\": [3]",
                "$.issuers[0].required_claims.level: expected a string, a number, true or false"},
        BadCase{"[\"Example.com\"]", "[\"Example.com\", \"a b\"]",
                "$.issuers[0].email_domains[1]: \"a b\": not a domain name"},
        BadCase{"\"accept_bearer\": false", "\"accept_bearer\": 1",
                "$.issuers[0].accept_bearer: expected true or false, found a number"},
        BadCase{"\"accept_bearer\": false", "\"server_login\": {}",
                "$.issuers[0].server_login.client_id: missing"},
        BadCase{"\"accept_bearer\": false", "\"server_login\": {\"client_id\": \"qufabric-cli\"}",
                "$.issuers[0].server_login.client_id: \"qufabric-cli\" must be a client of its own, whose "
                "tokens others do not take"},
        BadCase{"\"accept_bearer\": false",
                "\"server_login\": {\"client_id\": \"s\", \"scopes\": [\"openid\", \"offline_access\"]}",
                "$.issuers[0].server_login.scopes[1]: \"offline_access\" would give the peers a token that "
                "lasts"},
        BadCase{"\"accept_bearer\": false",
                "\"server_login\": {\"client_id\": \"s\", \"scopes\": [\"groups\"]}",
                "$.issuers[0].server_login.scopes: without \"openid\" the issuer gives no id_token"},
        BadCase{"\"accept_bearer\": false", "\"ca_file\": \"ca.pem\"",
                "$.issuers[0].ca_file: must be an absolute path"}));

INSTANTIATE_TEST_SUITE_P(
    Clients, UpBadDocument,
    testing::Values(
        BadCase{"\"client_id\": \"qufabric-cli\", ", "", "$.issuers[0].client.client_id: missing"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"file\"", "$.issuers[0].client.file: missing"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\"", "$.issuers[0].client.command: missing"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"none\"",
                "$.issuers[0].client.flow: must be one of \"auto\", \"browser\", \"device\", \"file\", "
                "\"command\", \"machine\", not \"none\""},
        BadCase{"\"token\": \"id_token\"", "\"token\": \"refresh_token\"",
                "$.issuers[0].client.token: must be one of \"id_token\", \"access_token\", not "
                "\"refresh_token\""},
        BadCase{"\"token\": \"id_token\"", "\"file\": \"/t\"",
                "$.issuers[0].client.file: belongs to the flow \"file\""},
        BadCase{"\"token\": \"id_token\"", "\"command\": [\"/x\"]",
                "$.issuers[0].client.command: belongs to the flow \"command\""},
        BadCase{"\"token\": \"id_token\"", "\"redirect_port\": 8080",
                "$.issuers[0].client.redirect_port: belongs to the flow \"auto\" or \"browser\""},
        BadCase{"\"token\": \"id_token\"", "\"client_secret\": \"\"",
                "$.issuers[0].client.client_secret: must not be empty"},
        BadCase{"\"token\": \"id_token\"", "\"client_secret\": 7",
                "$.issuers[0].client.client_secret: expected a string, found a number"},
        BadCase{"\"token\": \"id_token\"", "\"resource\": \"fabric\"",
                "$.issuers[0].client.resource: \"fabric\" not an address or a name such as "
                "\"qufabric-machine:host\""},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"browser\", \"redirect_port\": 0",
                "$.issuers[0].client.redirect_port: must be a whole number from 1 to 65535"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"browser\", \"redirect_port\": 65536",
                "$.issuers[0].client.redirect_port: must be a whole number from 1 to 65535"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"auto\", \"redirect_port\": \"80\"",
                "$.issuers[0].client.redirect_port: expected a number, found a string"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"file\", \"file\": \"token\"",
                "$.issuers[0].client.file: must be an absolute path or begin with \"~/\""},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"file\", \"file\": \"~root/token\"",
                "$.issuers[0].client.file: must be an absolute path or begin with \"~/\""},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"file\", \"file\": \"\"",
                "$.issuers[0].client.file: must not be empty"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"file\", \"file\": \"/t\", \"command\": [\"/c\"]",
                "$.issuers[0].client.command: belongs to the flow \"command\""},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\", \"command\": []",
                "$.issuers[0].client.command: must not be empty"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\", \"command\": \"/c\"",
                "$.issuers[0].client.command: expected a list, found a string"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\", \"command\": [\"get-token\"]",
                "$.issuers[0].client.command: the program must be an absolute path, not \"get-token\""},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\", \"command\": [\"/c\", 7]",
                "$.issuers[0].client.command[1]: expected a string, found a number"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\", \"command\": [\"/c\", \"\"]",
                "$.issuers[0].client.command[1]: must not be empty"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\", \"command\": [\"/c\"], \"file\": \"/t\"",
                "$.issuers[0].client.file: belongs to the flow \"file\""},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"file\", \"file\": \"/t\", \"client_secret\": \"s\"",
                "$.issuers[0].client.client_secret: belongs to the flow \"auto\", \"browser\" or \"device\""},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\", \"command\": [\"/c\"], \"resource\": \"a:b\"",
                "$.issuers[0].client.resource: belongs to the flow \"auto\", \"browser\" or \"device\""},
        BadCase{"{ \"flow\": \"machine\" }", "{ \"flow\": \"machine\", \"redirect_port\": 80 }",
                "$.issuers[1].client.redirect_port: belongs to the flow \"auto\" or \"browser\""},
        BadCase{"{ \"flow\": \"machine\" }", "{ \"flow\": \"browser\", \"client_id\": \"c\" }",
                "$.issuers[1].issuer: \"qufabric-machine:ci\" must be an https address"},
        BadCase{"[\"openid\", \"groups\"]", "[\"groups\"]",
                "$.issuers[0].client.scopes: without \"openid\" the issuer gives no id_token"},
        BadCase{"{ \"flow\": \"machine\" }", "{ \"flow\": \"auto\", \"client_id\": \"c\" }",
                "$.issuers[1].issuer: \"qufabric-machine:ci\" must be an https address"}));

INSTANTIATE_TEST_SUITE_P(
    PeersAndGroups, UpBadDocument,
    testing::Values(
        BadCase{"::ffff:100.119.4.2", "100.119.230.104",
                "$.peers[1].addresses[0]: \"100.119.230.104\" is an address of the peer \"db1\" too"},
        BadCase{"FD00:0::68", "100.119.230.104", "$.peers[0].addresses[1]: duplicate \"100.119.230.104\""},
        BadCase{"FD00:0::68", "fe80::1%eth0", "$.peers[0].addresses[1]: \"fe80::1%eth0\": not an IP address"},
        BadCase{"FD00:0::68", "::", "$.peers[0].addresses[1]: \"::\": not the address of one machine"},
        BadCase{"FD00:0::68", "224.0.0.1",
                "$.peers[0].addresses[1]: \"224.0.0.1\": not the address of one machine"},
        BadCase{"[\"100.119.230.104\", \"FD00:0::68\"]", "[]",
                "$.peers[0].addresses: a peer with \"ssh\": true needs an address"},
        BadCase{"0.61.0-rc1", "0.61", "$.peers[1].version: \"0.61\": not a version such as \"0.61.0\""},
        BadCase{"\"issuers\": [\"corp\"]", "\"issuers\": [\"corporation\"]",
                "$.peers[0].issuers[0]: no issuer \"corporation\""},
        BadCase{"\"issuers\": [\"corp\"]", "\"issuers\": []",
                "$.peers[0].issuers: must not be empty; leave it out to take every issuer"},
        BadCase{" a comment\"", " a comment\", \"ssh-ed25519 AAAA\"",
                "$.peers[0].ssh_host_keys[1]: the key is not of the type ssh-ed25519; qf-up host-key prints "
                "it on that machine"},
        BadCase{"\"databases\": [\"db1\"]", "\"databases\": [\"db1\", \"db2\"]",
                "$.peer_groups.databases[1]: no peer \"db2\""},
        BadCase{"\"databases\": [\"db1\"]", "\"databases\": [\"db1\", \"DB1\"]",
                "$.peer_groups.databases[1]: no peer \"DB1\" (there is \"db1\")"},
        BadCase{"\"databases\": [\"db1\"]", "\"databases\": [\"db1\", \"db1\"]",
                "$.peer_groups.databases[1]: duplicate \"db1\""},
        BadCase{"\"databases\": [\"db1\"]", "\"databases\": [\"db1\"], \"DB1\": []",
                "$.peer_groups.DB1: a peer has the name \"DB1\" too"},
        BadCase{"\"databases\": [\"db1\"]", "\"databases\": [\"db1\"], \"Databases\": []",
                "$.peer_groups.Databases: another one has this name in other letter case"},
        BadCase{"corp:auth0|7", "corp2:auth0|7", "$.user_groups.DBAs[0]: no issuer \"corp2\""},
        BadCase{"corp:auth0|7", "auth0", "$.user_groups.DBAs[0]: \"auth0\" is not \"ISSUER:SUBJECT\""},
        BadCase{"corp:auth0|7", "corp:", "$.user_groups.DBAs[0]: the subject is empty"},
        BadCase{"\"corp:auth0|7\"", "\"corp:auth0|7\", \"corp:auth0|7\"",
                "$.user_groups.DBAs[1]: duplicate \"corp:auth0|7\""}));

INSTANTIATE_TEST_SUITE_P(
    Policies, UpBadDocument,
    testing::Values(
        BadCase{"[\"laptops\", \"db1\"]", "[\"laptops\", \"dbs\"]",
                "$.policies[1].sources[1]: no peer or peer group \"dbs\" (there is \"db1\")"},
        BadCase{"[\"laptops\", \"db1\"]", "[\"laptops\", \"ann-laptop\"]",
                "$.policies[1].sources[1]: no peer or peer group \"ann-laptop\" (there is \"Ann-Laptop\")"},
        BadCase{"[\"laptops\", \"db1\"]", "[]",
                "$.policies[1].sources: must not be empty: the policy would say nothing"},
        BadCase{"\"name\": \"ops\"", "\"name\": \"dba\"",
                "$.policies[1].name: two policies have the name \"dba\""},
        BadCase{"\"action\": \"deny\"", "\"action\": \"drop\"",
                "$.policies[1].action: must be one of \"allow\", \"deny\", not \"drop\""},
        BadCase{"\"protocol\": \"tcp\"", "\"protocol\": \"udp\"",
                "$.policies[1].protocol: must be one of \"qufabric-ssh\", \"tcp\", not \"udp\""},
        BadCase{
            "20-30", "30-20",
            "$.policies[1].ports[0]: \"30-20\" is not a port such as \"22\" or a range such as \"20-30\""},
        BadCase{"20-30", "0",
                "$.policies[1].ports[0]: \"0\" is not a port such as \"22\" or a range such as \"20-30\""},
        BadCase{
            "20-30", "65536",
            "$.policies[1].ports[0]: \"65536\" is not a port such as \"22\" or a range such as \"20-30\""},
        BadCase{"\"20-30\"", "22", "$.policies[1].ports[0]: expected a string, found a number"},
        BadCase{"\"ports\": [\"20-30\", \"22022\"],", "", "$.policies[1].ports: missing"},
        BadCase{"\"protocol\": \"tcp\"", "\"protocol\": \"tcp\", \"access\": \"full\"",
                "$.policies[1].access: only a policy of the protocol \"qufabric-ssh\" has it"},
        BadCase{"\"protocol\": \"qufabric-ssh\"", "\"protocol\": \"qufabric-ssh\", \"ports\": [\"22\"]",
                "$.policies[0].ports: only a policy of the protocol \"tcp\" has ports"},
        BadCase{"\"access\": \"limited\",", "", "$.policies[0].access: missing"},
        BadCase{"{ \"DBAs\": [\"postgres\"], \"Developers\": [\"developer\", \"{email.local}\"] }", "{}",
                "$.policies[0].authorized_groups: must not be empty; leave it out to mean every user of the "
                "fabric"},
        BadCase{"\"DBAs\": [\"postgres\"]", "\"Nobody\": [\"postgres\"]",
                "$.policies[0].authorized_groups.Nobody: no user group \"Nobody\""},
        BadCase{"[\"postgres\"]", "[]",
                "$.policies[0].authorized_groups.DBAs: with \"access\": \"limited\" the list must name local "
                "users"},
        BadCase{"[\"postgres\"]", "[\"a b\"]",
                "$.policies[0].authorized_groups.DBAs[0]: \"a b\": not a user name (\"*\" is any user, "
                "\"{email.local}\" the local part of the verified email)"},
        BadCase{"[\"postgres\"]", "[\"{email}\"]",
                "$.policies[0].authorized_groups.DBAs[0]: \"{email}\": not a user name (\"*\" is any user, "
                "\"{email.local}\" the local part of the verified email)"},
        BadCase{
            "[\"postgres\"]", "[\"qufabric-tunnel\"]",
            "$.policies[0].authorized_groups.DBAs[0]: \"qufabric-tunnel\": this name is reserved and cannot "
            "be reached"},
        BadCase{"\"email_domains\": [\"Example.com\"], ", "",
                "$.policies[0].authorized_groups.Developers[1]: \"{email.local}\" needs an issuer with "
                "\"email_domains\""},
        BadCase{
            "\"access\": \"limited\"", "\"access\": \"limited\", \"permit_open\": [\"a:1\", \"a\"]",
            "$.policies[0].permit_open[1]: \"a\" is not HOST:PORT such as \"db.example:5432\", \"*:80\" or "
            "\"[fd00::1]:8000-8010\""},
        BadCase{"\"access\": \"limited\"", "\"access\": \"limited\", \"permit_listen\": []",
                "$.policies[0].permit_listen: must not be empty; leave it out to permit every place"},
        BadCase{"\"access\": \"limited\"", "\"access\": \"limited\", \"max_session\": 0",
                "$.policies[0].max_session: must be a whole number of seconds from 1 to 31622400"},
        BadCase{"\"action\": \"allow\"", "\"action\": \"deny\", \"max_session\": 60",
                "$.policies[0].max_session: only a policy that allows has it"}));

// A line break in a name would forge lines of logs, of ssh_config and of terminals.
INSTANTIATE_TEST_SUITE_P(
    ControlCharacters, UpBadDocument,
    testing::Values(
        BadCase{"\"client_id\": \"qufabric-cli\"", "\"client_id\": \"a\\nb\"",
                "$.issuers[0].client.client_id: has the control character U+000A"},
        BadCase{"\"token\": \"id_token\"", "\"client_secret\": \"a\\nb\"",
                "$.issuers[0].client.client_secret: has the control character U+000A"},
        BadCase{"\"flow\": \"device\"", "\"flow\": \"command\", \"command\": [\"/c\", \"a\\nb\"]",
                "$.issuers[0].client.command[1]: has the control character U+000A"},
        BadCase{"\"openid\", \"groups\"", "\"openid\", \"gr\\u001boups\"",
                "$.issuers[0].client.scopes[1]: has the control character U+001B"},
        BadCase{"[\"qufabric-cli\"]", "[\"qufabric-cli\\u007f\"]",
                "$.issuers[0].audiences[0]: has the control character U+007F"},
        BadCase{"\"name\": \"corp\"", "\"name\": \"corp\\r\"",
                "$.issuers[0].name: has the control character U+000D"},
        BadCase{"corp:auth0|7", "corp:auth0\\t7", "$.user_groups.DBAs[0]: has the control character U+0009"},
        BadCase{"\"hd\": \"example.com\"", "\"hd\": \"example\\u0001com\"",
                "$.issuers[0].required_claims.hd: has the control character U+0001"},
        BadCase{"a comment", "a\\ncomment", "$.peers[0].ssh_host_keys[0]: has the control character U+000A"},
        BadCase{"\"x-note\": \"top\"", "\"x-note\": {\"deep\": [1, \"\\u0008\"]}",
                "$.x-note.deep[1]: has the control character U+0008"},
        BadCase{"\"hd\":", "\"h\\nd\":",
                "$.issuers[0].required_claims[\"h?d\"]: the name has the control character U+000A"}));

// These take a name away, so references to it are faults too.
TEST(UpDocument, TwoOfOneName) {
  EXPECT_EQ(faults_of(sample_with("\"name\": \"hosts\"", "\"name\": \"corp\"")).at(0),
            "$.issuers[1].name: two issuers have the name \"corp\"");
  EXPECT_EQ(faults_of(sample_with("\"name\": \"Ann-Laptop\"", "\"name\": \"Db1\"")).at(0),
            "$.peers[1].name: \"Db1\" and \"db1\" differ by letter case only");
  EXPECT_EQ(faults_of(sample_with("\"name\": \"Ann-Laptop\"", "\"name\": \"db1\"")).at(0),
            "$.peers[1].name: two peers have the name \"db1\"");
}

TEST(UpDocument, InlineKeysMustBeUsable) {
  auto faults = faults_of(sample_with("\"kty\":\"OKP\"", "\"kty\":\"oct\""));
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_TRUE(faults[0].starts_with("$.issuers[1].jwks: has no usable key")) << faults[0];
}

TEST(UpDocument, FullAccessListsAreEmpty) {
  auto text = sample_with("\"access\": \"limited\"", "\"access\": \"full\"");
  auto faults = faults_of(text);
  ASSERT_EQ(faults.size(), 2U);
  EXPECT_EQ(
      faults[0],
      "$.policies[0].authorized_groups.DBAs: with \"access\": \"full\" the members may be any local user; "
      "leave the list empty");
}

TEST(UpDocument, DenyOfPeopleNeedsAccess) {
  std::string policy = R"("protocol": "qufabric-ssh", "authorized_groups": {"DBAs": ["root"]})";
  auto faults = faults_of(sample_with(R"("protocol": "tcp", "ports": ["20-30", "22022"])", policy));
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0], "$.policies[1].access: missing");
  good_document(
      sample_with(R"("protocol": "tcp", "ports": ["20-30", "22022"])", policy + R"(, "access": "limited")"));
  good_document(
      sample_with(R"("protocol": "tcp", "ports": ["20-30", "22022"])", R"("protocol": "qufabric-ssh")"));
}

TEST(UpDocument, OneNameLeadsToOnePeer) {
  auto faults = faults_of(
      R"({"format":1,"serial":1,"domain":"f.example","peers":[
         {"name":"db1","addresses":[]},{"name":"db1.f.example","addresses":[]}]})");
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0], "$.peers[1].name: \"db1.f.example\" would also be the peer \"db1\"");
}

TEST(UpDocument, AllFaultsAtOnceButNotMoreThanTwenty) {
  std::string text = R"({"format":1,"serial":1,"domain":"f.example","peers":[)";
  for (int i = 0; i < 100; ++i)
    text += std::string(i == 0 ? "" : ",") + R"({"name":"-","addresses":["x","y"]})";
  EXPECT_EQ(faults_of(text + "]}").size(), Faults::kMostFaults);
  EXPECT_EQ(faults_of(R"({"a":1,"b":2})").size(), 5U);  // three missing, two unknown
}

TEST(UpDocument, WhatIsNoDocument) {
  EXPECT_EQ(faults_of("[]"), std::vector<std::string>{"$: expected an object, found a list"});
  EXPECT_EQ(faults_of("").size(), 1U);
  EXPECT_EQ(faults_of(sample_document() + "x").size(), 1U);
  EXPECT_EQ(faults_of(R"({"issuers":[{"name":"a)").front().substr(0, 19), "$.issuers[0].name: ");
}

TEST(UpDocument, APlaceCountsTheItemsBeforeIt) {
  EXPECT_EQ(faults_of(sample_with("\"issuers\": [\"corp\"]", R"("issuers": ["corp", "corp", 7, "none"])")),
            (std::vector<std::string>{"$.peers[0].issuers[1]: duplicate \"corp\"",
                                      "$.peers[0].issuers[2]: expected a string, found a number",
                                      "$.peers[0].issuers[3]: no issuer \"none\""}));
}

TEST(UpDocument, ReferencesToAFaultyPeerAreNoFaultsOfTheirOwn) {
  auto faults = faults_of(sample_with("0.61.0-rc1", "new"));
  EXPECT_EQ(faults.size(), 1U);
}

// The order of the keys is free, and a key is what it means, however it is written.
TEST(UpDocument, KeysComeInAnyOrderAndSpelling) {
  Document document = good_document(R"( {"policies":[{"name":"p","action":"deny","protocol":"qufabric-ssh",
      "sources":["g"],"destinations":["a"]}],"peer_groups":{"g":["b"]},"p\u0065ers":[{"name":"a","addresses":[]},
      {"name":"b","addresses":[]}],"serial":1,"domain":"f.example","format":1} )");
  EXPECT_EQ(document.peers.size(), 2U);
  EXPECT_TRUE(document.policies.at(0).sources.at(0).is_group);
}

TEST(UpDocument, LongMembersOfTheWrongType) {
  auto only = [](const std::string& member) {
    return faults_of(R"({"format":1,"serial":1,"domain":"f.example",)" + member + "}");
  };
  using Faults = std::vector<std::string>;
  EXPECT_EQ(only(R"("peers":{"a":{}})"), Faults{"$.peers: expected a list, found an object"});
  EXPECT_EQ(only(R"("user_groups":["a"])"), Faults{"$.user_groups: expected an object, found a list"});
  EXPECT_EQ(only(R"("policies":7)"), Faults{"$.policies: expected a list, found a number"});
  EXPECT_EQ(only(R"("peers":[7])"), Faults{"$.peers[0]: expected an object, found a number"});
  EXPECT_EQ(only(R"("user_groups":{"a":7})"),
            Faults{"$.user_groups.a: expected a list of \"ISSUER:SUBJECT\""});
}

TEST(UpDocument, ANameThatIsAnotherPeersFullName) {
  auto of = [](const char* first, const char* second) {
    return faults_of(R"({"format":1,"serial":1,"domain":"f.example","peers":[{"name":")" +
                     std::string(first) + R"(","addresses":[]},{"name":")" + second +
                     R"(","addresses":[]}]})");
  };
  EXPECT_EQ(of("db1.f.example", "DB1"),
            std::vector<std::string>{
                "$.peers[1].name: \"db1.f.example\" would also be the peer \"db1.f.example\""});
  EXPECT_EQ(of("Db1", "db1.F.example"),
            std::vector<std::string>{"$.peers[1].name: \"db1.f.example\" would also be the peer \"Db1\""});
  EXPECT_TRUE(of("db1", "f.example").empty());
  // a faulty name is nobody's
  EXPECT_EQ(of("-", "-.f.example").size(), 2U);
}

// A quadratic check would take minutes here, which the time that tests/run prints would show.
TEST(UpDocument, HundredThousandPeersAreRead) {
  EXPECT_EQ(good_document(test::large_document(100'000)).peers.size(), 100'000U);
}

}  // namespace
}  // namespace qf
