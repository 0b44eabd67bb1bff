// SPDX-License-Identifier: Apache-2.0
// Walking a JSON document by a strict schema. Every fault is noted with its JSON path and reading goes on, so
// that an admin sees all faults at once; after kMostFaults it stops.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/json.h"
#include "libqf/log.h"

namespace qf {

// One step of a place: to a member of an object, or to an item of a list.
struct PlaceStep {
  std::optional<std::string> key;  // none: an item
  size_t index = 0;
};

// A place in the document, such as $.policies[2].destinations[0]. It points to its parent, which must outlive
// it; text is made only when there is a fault, so walking costs nothing.
class Place {
 public:
  Place() = default;
  [[nodiscard]] Place member(const char* key) const { return Place(this, key, 0); }
  [[nodiscard]] Place item(size_t index) const { return Place(this, nullptr, index); }
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::vector<PlaceStep> steps() const;  // from the root on

 private:
  Place(const Place* parent, const char* key, size_t index) : parent_(parent), key_(key), index_(index) {}
  const Place* parent_ = nullptr;
  const char* key_ = nullptr;  // null: an item of a list
  size_t index_ = 0;
};

struct Fault {
  std::string path;
  std::string what;
  std::vector<PlaceStep> steps = {};  // to the place that `path` writes
  std::string owner = {};             // `policy "dba"`, of which the place is a part; empty: of nothing named
  size_t line = 0, column = 0;        // from 1, in characters; 0: not known
  // `$.policies[2].sources[0] (policy "dba"): no peer "x"`
  [[nodiscard]] std::string text() const;
  // With the file's name, line and column before it.
  [[nodiscard]] std::string text_in(const std::string& file) const;
};

class Faults {
 public:
  static constexpr size_t kMostFaults = 20;
  void add(const Place& place, std::string what);
  [[nodiscard]] bool full() const { return all_.size() >= kMostFaults; }
  [[nodiscard]] bool empty() const { return all_.empty(); }
  [[nodiscard]] std::vector<Fault> take() { return std::move(all_); }

 private:
  std::vector<Fault> all_;
};

// A fault for every string and name of a member that has a control character (C0, DEL), at any depth of a
// text that check_json() has passed, which bounds the depth. A line break in a client_id or a subject would
// forge lines of what is made of it.
void check_characters(std::string_view text, const Place& place, Faults& faults);

// The string at a place; a fault and nothing when it is none or empty.
[[nodiscard]] std::optional<std::string> read_text(const cJSON* value, const Place& place, Faults& faults);

// Lists and objects of a tree that are empty in it because they are long: their texts, of which a reader
// makes one item or member at a time.
using LeftAsText = std::map<const cJSON*, std::string_view>;

enum class Need { kRequired, kOptional };

// One object whose keys the schema fixes. Ask for every key that it knows, then call finish(): what was not
// asked for and does not start with "x-" is a fault.
class ObjectReader {
 public:
  // Members of the object that `texts` names can be read with list() and map() only.
  ObjectReader(const cJSON* value, const Place& place, Faults& faults, const LeftAsText* texts = nullptr);

  [[nodiscard]] std::optional<std::string> text(const char* key, Need need);
  // `unit`: for the message, when the number counts something.
  [[nodiscard]] std::optional<int64_t> integer(const char* key, Need need, int64_t least, int64_t most,
                                               const char* unit = nullptr);
  [[nodiscard]] bool boolean(const char* key, bool otherwise);
  // One of the words; a fault that names them all otherwise.
  [[nodiscard]] std::optional<std::string> word(const char* key, Need need,
                                                const std::vector<std::string>& words);
  // Strings without duplicates, none of which `check` finds a fault with.
  using Check = std::function<std::optional<std::string>(const std::string&)>;
  [[nodiscard]] std::vector<std::string> texts(const char* key, Need need, const Check& check = nullptr);
  // The object at the key, whatever its keys.
  [[nodiscard]] const cJSON* object(const char* key, Need need);
  // Calls each(value, place) for the items of a list, each(name, value, place) for the members of an object
  // whose keys are names that the admin chose. Both stop when there are too many faults.
  template <class F>
  void list(const char* key, Need need, F each) {
    Place place = place_.member(key);
    size_t index = 0;
    children(typed(key, need, cJSON_Array),
             [&](const char*, const cJSON* value) { each(value, place.item(index++)); });
  }
  template <class F>
  void map(const char* key, Need need, F each) {
    Place place = place_.member(key);
    children(typed(key, need, cJSON_Object), [&](const char* name, const cJSON* value) {
      each(std::string(name), value, place.member(name));
    });
  }
  [[nodiscard]] bool has(const char* key) const { return json_member(object_, key) != nullptr; }
  // A list or an object is there and has nothing in it.
  [[nodiscard]] bool is_empty(const char* key) const;
  // Known, but of no interest here: finish() says nothing about it.
  void ignore(const char* key) { known_.push_back(key); }
  // True when a key that is not known seems to be meant for a known one that is not there.
  bool finish();

  void fault(std::string what) { faults_.add(place_, std::move(what)); }
  void fault(const char* key, std::string what) { faults_.add(place_.member(key), std::move(what)); }
  [[nodiscard]] bool is_object() const { return object_ != nullptr; }

 private:
  const cJSON* typed(const char* key, Need need, int type);
  // Calls each(name, value) for what is in a list, without names, or in an object.
  template <class F>
  void children(const cJSON* parent, F each) {
    if (parent == nullptr) return;
    auto text = texts_ == nullptr ? LeftAsText::const_iterator() : texts_->find(parent);
    if (texts_ != nullptr && text != texts_->end()) {
      JsonPieces pieces(text->second);
      while (!faults_.full() && pieces.next()) {
        auto value = parse_checked_json(pieces.value());
        if (!value) return fault(value.error().text());
        each(pieces.key().c_str(), value->get());
      }
      return;
    }
    for (const cJSON* i = parent->child; i != nullptr && !faults_.full(); i = i->next) each(i->string, i);
  }
  const cJSON* object_ = nullptr;  // null: not an object
  const Place& place_;
  Faults& faults_;
  const LeftAsText* texts_;  // may be null
  std::vector<const char*> known_;
};

}  // namespace qf
