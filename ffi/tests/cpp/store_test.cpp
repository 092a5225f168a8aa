// A store of the program's own.
#include "support.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace {

struct disk_failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Records in memory, and each function breaks on request.
class map_store : public jeton::store {
public:
    [[nodiscard]] std::string name() const override { return "map of the test"; }
    [[nodiscard]] bool is_persistent() const override { return false; }
    [[nodiscard]] bool is_encrypted() const override { return true; }
    [[nodiscard]] bool can_list() const override { return true; }
    [[nodiscard]] bool can_lock() const override { return true; }

    [[nodiscard]] std::optional<std::string> load(std::string_view key) override
    {
        if (!step("load"))
            return std::nullopt;
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found = records_.find(std::string(key));
        return found == records_.end() ? std::nullopt : std::optional<std::string>(found->second);
    }
    void save(std::string_view key, std::string_view record) override
    {
        if (!step("save"))
            return;
        const std::lock_guard<std::mutex> lock(mutex_);
        records_[std::string(key)] = record;
    }
    void remove(std::string_view key) override
    {
        if (!step("remove"))
            return;
        const std::lock_guard<std::mutex> lock(mutex_);
        records_.erase(std::string(key));
    }
    [[nodiscard]] std::vector<std::string> list() override
    {
        if (!step("list"))
            return {};
        const std::lock_guard<std::mutex> lock(mutex_);
        std::vector<std::string> keys;
        for (const auto &[key, record] : records_)
            keys.push_back(key);
        return keys;
    }
    [[nodiscard]] bool try_lock(std::string_view key) override
    {
        if (!step("try_lock"))
            return true;
        if (busy > 0) {
            --busy;
            return false;
        }
        const std::lock_guard<std::mutex> lock(mutex_);
        return locked_.insert(std::string(key)).second;
    }
    void unlock(std::string_view key) override
    {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            CHECK(locked_.erase(std::string(key)) == 1);
            ++unlocks;
        }
        static_cast<void>(step("unlock"));
    }

    void breaks(std::string where)
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        broken_ = std::move(where);
    }
    [[nodiscard]] bool is_unlocked()
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        return locked_.empty();
    }
    [[nodiscard]] std::size_t size()
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        return records_.size();
    }

    std::atomic<int> busy = 0;
    std::atomic<int> unlocks = 0;
    std::atomic<std::int32_t> code = 0;

private:
    /// Whether the function may go on.
    bool step(const char *where)
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        CHECK_FALSE(calls_.exchange(true));
        calls_ = false;
        if (broken_ != where)
            return true;
        if (code == 0)
            throw disk_failure(std::string("cannot ") + where);
        fail(code);
        return false;
    }

    std::mutex mutex_;
    std::map<std::string, std::string> records_;
    std::set<std::string> locked_;
    std::string broken_;
    std::atomic<bool> calls_ = false;
};

/// The least that a store has to be.
class small_store : public jeton::store {
public:
    [[nodiscard]] std::optional<std::string> load(std::string_view) override { return record_; }
    void save(std::string_view, std::string_view record) override { record_ = record; }
    void remove(std::string_view) override { record_.reset(); }

private:
    std::optional<std::string> record_;
};

jeton::client client_with(const test_server &server, const std::shared_ptr<jeton::store> &store)
{
    return server.password().store(store).build().value();
}

/// Until jeton has made its last call of the store, which may come after the call that needed it has returned.
void wait_until_let_go(const std::shared_ptr<map_store> &store)
{
    while (store.use_count() > 1)
        std::this_thread::yield();
}

} // namespace

TEST_CASE("a store of the program's own keeps logins from client to client")
{
    test_server server;
    const auto store = std::make_shared<map_store>();
    std::string token;
    {
        const jeton::client client = client_with(server, store);
        CHECK(client.store_description().find("map of the test") != std::string_view::npos);
        CHECK_FALSE(client.store_is_persistent());
        CHECK(client.store_is_encrypted());
        store->busy = 2;
        token = client.session("dora").value().log_in().value().access_token();
        CHECK(store->busy == 0);
    }
    wait_until_let_go(store);
    CHECK(store->size() == 1);
    CHECK(store->is_unlocked());
    CHECK(store->unlocks >= 1);
    const jeton::client client = client_with(server, store);
    const jeton::session session = client.session("dora").value();
    CHECK(session.token().value().access_token() == token);
    CHECK(server.requests("password") == 1);
    const jeton::accounts accounts = client.accounts().value();
    REQUIRE(accounts.size() == 1);
    CHECK(accounts[0] == "dora");
    REQUIRE(session.log_out());
    CHECK(client.accounts().value().empty());
}

TEST_CASE("a store with the least of functions")
{
    const test_server server;
    const jeton::client client = server.password().store(std::make_unique<small_store>()).build().value();
    CHECK(client.store_is_persistent());
    CHECK_FALSE(client.store_is_encrypted());
    const jeton::session session = client.session().value();
    CHECK(session.token());
    CHECK(session.refresh());
    const auto listed = client.accounts();
    REQUIRE_FALSE(listed);
    CHECK_FALSE(listed.error().message().empty());
}

TEST_CASE("an exception in a store is thrown again by the call that needed it")
{
    const test_server server;
    const auto store = std::make_shared<map_store>();
    const auto throws = [](const auto &result, const char *what) {
        REQUIRE_FALSE(result);
        CHECK(result.error().callback_result() != 0);
        CHECK_THROWS_WITH_AS(static_cast<void>(result.value()), what, disk_failure);
    };
    {
        const jeton::client client = client_with(server, store);
        const jeton::session session = client.session().value();
        store->breaks("load");
        throws(session.token(), "cannot load");
        store->breaks("try_lock");
        throws(session.log_in(), "cannot try_lock");
        store->breaks("list");
        throws(client.accounts(), "cannot list");
        store->breaks("");
        REQUIRE(session.log_in());
        store->breaks("remove");
        throws(session.log_out(), "cannot remove");
        store->breaks("");
        CHECK(session.log_out());
    }
    wait_until_let_go(store);
    CHECK(store->is_unlocked());
}

TEST_CASE("a token that cannot be saved is used all the same, and the exception is kept with it")
{
    const test_server server;
    const auto store = std::make_shared<map_store>();
    jeton::config config = server.password();
    gate told;
    config.store(store).on_event([&](const jeton::event &event) {
        if (event.kind == jeton::event_kind::persist_failed && !event.message.empty())
            told.open();
    });
    const jeton::client client = config.build().value();
    const jeton::session session = client.session().value();
    store->breaks("save");
    REQUIRE(session.token());
    told.pass();
    const jeton::error error = session.persist_error();
    REQUIRE(error);
    CHECK_THROWS_WITH_AS(error.raise(), "cannot save", disk_failure);
    store->breaks("");
}

TEST_CASE("a store may fail with a code instead")
{
    const test_server server;
    const auto store = std::make_shared<map_store>();
    const jeton::client client = client_with(server, store);
    const jeton::session session = client.session().value();
    store->breaks("load");
    store->code = 28;
    const auto failed = session.token();
    CHECK(failed.error().callback_result() == 28);
    CHECK_FALSE(failed.error().callback_exception());
    CHECK_THROWS_AS(static_cast<void>(failed.value()), jeton::exception);
    // 1 means "busy" to try_lock, and 0 success: neither is a failure.
    store->breaks("try_lock");
    store->code = JETON_STORE_BUSY;
    CHECK(session.log_in().error().callback_result() == -1);
    store->breaks("");
    CHECK(session.token());
}

TEST_CASE("an exception in unlock goes to the handler for strays")
{
    static std::atomic<int> strays;
    strays = 0;
    const auto before = jeton::set_stray_exception_handler([](std::exception_ptr) { ++strays; });
    const test_server server;
    const auto store = std::make_shared<map_store>();
    {
        const jeton::client client = client_with(server, store);
        store->breaks("unlock");
        CHECK(client.session().value().token());
    }
    wait_until_let_go(store);
    CHECK(strays >= 1);
    jeton::set_stray_exception_handler(before);
}

TEST_CASE("a store must not wait for itself")
{
    class nosy_store : public small_store {
    public:
        [[nodiscard]] std::optional<std::string> load(std::string_view key) override
        {
            if (asked)
                answer = asked->token().error().status();
            return small_store::load(key);
        }
        std::optional<jeton::session> asked;
        std::atomic<jeton::status> answer = jeton::status::ok;
    };
    const test_server server;
    const auto store = std::make_shared<nosy_store>();
    const jeton::client other = server.service().build().value();
    store->asked = other.session().value();
    const jeton::client client = client_with(server, store);
    CHECK(client.session().value().token());
    CHECK(store->answer == jeton::status::invalid_argument);
}
