import Pipeline
import Testing
import Topics

/// What counts as said before.
@Suite struct SeenRequestsTests {
  @Test(
    "requests are near-duplicates if all has the same words in the same order; new if they have words that no labelled one has"
  )
  func words() {
    var seen = SeenRequests()
    seen.learn([.user("Please, turn the light on!")])
    #expect(seen.hasSeen([.user("please turn THE light on")]))
    #expect(!seen.hasSeen([.user("turn on the light please")]))
    #expect(!seen.hasSeen([.system("The speaker stands in the hall."), .user("Please turn the light on")]))
    let asked = ChatMessage(role: .assistant, content: "Which one?")
    #expect(!seen.hasSeen([asked, .user("Please turn the light on")]))
    // Nobody says the same in two answers to other questions.
    seen.learn([.user("the lamp"), asked, .user("yes please")])
    let other = ChatMessage(role: .assistant, content: "The red one?")
    #expect(!seen.hasSeen([.user("the lamp"), other, .user("yes please")]))
    #expect(seen.novelty(of: [.user("turn the heating on")]) == 0.25)
    #expect(seen.novelty(of: [.user("")]) == 0)
    #expect(seen.novelty(of: [.user("abc def")]) == 1)
  }

  @Test("what was asked about and got no label was not seen")
  func unanswered() {
    var seen = SeenRequests()
    let request = [ChatMessage.user("open the window")]
    seen.ask(request)
    #expect(seen.hasSeen(request) && seen.novelty(of: request) == 0)
    seen.ask(request)
    seen.settle(request, isLabelled: false)
    #expect(seen.hasSeen(request))
    seen.settle(request, isLabelled: false)
    #expect(!seen.hasSeen(request) && seen.novelty(of: request) == 1)
    seen.ask(request)
    seen.settle(request, isLabelled: true)
    #expect(seen.hasSeen(request) && seen.novelty(of: request) == 0)
  }
}
