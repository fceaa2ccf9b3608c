// Answers the time. API Gateway hands the request on as an event whose body is
// a string; what is sent in it comes back beside the timestamp.
export const handler = async (event) => {
  const received = event.body ? JSON.parse(event.body) : {};
  return {
    statusCode: 200,
    body: JSON.stringify({ timestamp: new Date().toISOString(), received }),
  };
};
